use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use byteloom::{Error, threads};

#[test]
fn every_worker_gives_one_result() {
    for threads in 1..=8 {
        let next = AtomicUsize::new(0);
        let mut given = threads::run(threads, |failed| {
            assert!(!failed());
            Ok(next.fetch_add(1, SeqCst))
        });
        given.as_mut().unwrap().sort_unstable();
        assert_eq!(given.unwrap(), (0..threads).collect::<Vec<_>>());
    }
}

#[test]
fn one_error_stops_all_and_comes_back() {
    for threads in 1..=8 {
        let next = AtomicUsize::new(0);
        let error = threads::run(threads, |failed| {
            if next.fetch_add(1, SeqCst) == threads - 1 {
                return Err(Error::invalid("the last one failed"));
            }
            // The others would go on for ever.
            while !failed() {
                std::thread::yield_now();
            }
            Ok(())
        });
        assert_eq!(error.unwrap_err().to_string(), "the last one failed");
    }
}

#[test]
fn of_several_errors_one_comes_back() {
    let barrier = Barrier::new(4);
    let error = threads::run(4, |_| -> Result<(), Error> {
        barrier.wait();
        Err(Error::invalid("all failed"))
    });
    assert_eq!(error.unwrap_err().to_string(), "all failed");
}

#[test]
fn one_panic_stops_all_and_goes_on() {
    for culprit in 0..3 {
        let next = AtomicUsize::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            threads::run(3, |failed| {
                if next.fetch_add(1, SeqCst) == culprit {
                    // As a panic, but nothing is printed.
                    resume_unwind(Box::new("a defect"));
                }
                while !failed() {
                    std::thread::yield_now();
                }
                Ok(())
            })
        }));
        assert!(caught.is_err(), "worker {culprit} panicked unseen");
    }
}

#[test]
fn as_many_threads_as_asked_for() {
    assert_eq!(threads::resolve(Some(3)).unwrap(), 3);
    assert!(threads::resolve(None).unwrap() >= 1);
    let error = threads::resolve(Some(0)).unwrap_err();
    assert_eq!(error.to_string(), "num_threads is 0; it must be at least 1");
}
