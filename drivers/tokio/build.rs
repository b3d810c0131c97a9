// What is claimed depends on the version of tokio, which only cargo knows: it has written it down.
use std::{env, fs, path::Path};

fn main() {
    let lock = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("Cargo.lock");
    println!("cargo:rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(lock).unwrap();
    let package = text.split("[[package]]").find(|package| package.contains("\nname = \"tokio\"\n"));
    let version = package.and_then(|package| package.split("\nversion = \"").nth(1));
    let version = version.and_then(|rest| rest.split('"').next()).expect("Cargo.lock has no tokio");
    println!("cargo:rustc-env=TOKIO_VERSION={version}");
}
