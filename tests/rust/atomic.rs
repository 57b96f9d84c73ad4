use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use byteloom::ErrorKind;
use byteloom::atomic::write_atomic;

use crate::support::{file, names};

#[test]
fn appears_whole_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    write_atomic(&path, |file| {
        file.write_all(b"half")?;
        assert!(!path.exists(), "the name appears too early");
        file.write_all(b" and half")
    })
    .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"half and half");
    assert_eq!(names(folder.path()), ["new"]);
}

#[test]
fn replaces_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "old", b"old and rather long");
    write_atomic(&path, |file| {
        file.write_all(b"new")?;
        assert_eq!(std::fs::read(&path)?, b"old and rather long");
        Ok(())
    })
    .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["old"]);
}

#[test]
fn a_failure_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "old", b"old");
    let error = write_atomic(&path, |file| {
        file.write_all(b"new")?;
        Err(io::ErrorKind::StorageFull.into())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io(io::ErrorKind::StorageFull));
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    let panic = catch_unwind(AssertUnwindSafe(|| {
        write_atomic(&path, |file| {
            file.write_all(b"new")?;
            resume_unwind(Box::new("a defect"))
        })
    }));
    assert!(panic.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["old"]);
}

#[test]
fn a_folder_that_is_missing_or_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/file");
    let error = write_atomic(&path, |_| panic!("there is nothing to write to")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io(io::ErrorKind::NotFound));
    assert!(error.to_string().contains("missing/file"), "{error}");
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let error = write_atomic(&folder.path().join("folder"), |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("folder"), "{error}");
    assert_eq!(names(folder.path()), ["folder"]);
}

#[cfg(unix)]
#[test]
fn permissions_are_those_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let ordinary = file(folder.path(), "ordinary", b"");
    let path = folder.path().join("atomic");
    write_atomic(&path, |_| Ok(())).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&ordinary));
}
