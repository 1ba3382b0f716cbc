//! The directory of a kubelet.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| velero_operator::fuzzing::check("kubelet_root", data));
