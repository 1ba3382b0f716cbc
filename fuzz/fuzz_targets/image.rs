//! References of images, versions, and names of Secrets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("image", data));
