"""Models as other tools read and write them: a format is a module or a folder."""
