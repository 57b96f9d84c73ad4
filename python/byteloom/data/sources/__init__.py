"""Where text comes from: the installed Python's own source, or a download that can be trusted.

A catalogue (``catalog.toml``) names the texts and their addresses; :func:`fetch` brings one into a
folder (:func:`download`: resumed after a cut, verified, never half there under its final name);
:func:`write_stdlib` makes one without any network. Beside the files lies a ``manifest.json`` that
says what they are, so that a second call reuses them. Needs the standard library and tqdm only.

Example:
    >>> source = load_catalog()["tinystories"]
    >>> [file.role for file in source.files]
    ['train', 'valid']
"""

from byteloom.data.sources.catalog import Source, SourceFile, load_catalog
from byteloom.data.sources.folder import TextFile, fetch
from byteloom.data.sources.manifest import Manifest
from byteloom.data.sources.stdlib import write_stdlib
from byteloom.data.sources.transfer import Downloaded, DownloadError, Patience, download

__all__ = [
    "DownloadError",
    "Downloaded",
    "Manifest",
    "Patience",
    "Source",
    "SourceFile",
    "TextFile",
    "download",
    "fetch",
    "load_catalog",
    "write_stdlib",
]
