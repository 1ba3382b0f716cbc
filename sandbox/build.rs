//! How the sandbox's binary is linked.

fn main() {
    // A test starts it thousands of times as a hook tool. Its 200,000 relocations, which each start would make anew, take longer than
    // the tool itself.
    println!("cargo:rustc-link-arg-bin=sandbox=-no-pie");
    println!("cargo:rerun-if-changed=build.rs");
}
