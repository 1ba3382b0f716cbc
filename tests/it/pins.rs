//! A version that stands in several places is the same in all of them.

use std::fs;

use sandbox::images;
use velero_operator::contract::option;

use crate::project;

fn read(name: &str) -> String {
    fs::read_to_string(project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The version that a folder of `tools` requires of a Go module, or that follows `go` there.
fn go_version(tool: &str, module: &str) -> String {
    let go_mod = read(&format!("tools/{tool}/go.mod"));
    let version = go_mod.lines().find_map(|line| {
        let line = line.trim().trim_start_matches("require ");
        line.strip_prefix(module)?.strip_prefix(' ')
    });
    version.unwrap_or_else(|| panic!("tools/{tool}/go.mod requires no {module}")).to_owned()
}

/// The minor version in a text such as `1.95` or `1.26.0`.
fn minor(version: &str) -> u32 {
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
    minor.unwrap_or_else(|| panic!("{version:?} has no minor version"))
}

fn charmcraft_part(part: &str) -> serde_yaml::Value {
    let charmcraft: serde_yaml::Value = serde_yaml::from_str(&read("charmcraft.yaml")).unwrap();
    charmcraft["parts"][part].clone()
}

#[test]
fn the_default_images_are_of_the_versions_that_are_tested() {
    let velero = go_version("velero", "github.com/vmware-tanzu/velero");
    assert_eq!(option::VELERO_IMAGE.default, format!("velero/velero:{velero}"));
    let aws_plugin = go_version("velero-plugin-for-aws", "github.com/vmware-tanzu/velero-plugin-for-aws");
    assert_eq!(option::VELERO_AWS_PLUGIN_IMAGE.default, format!("velero/velero-plugin-for-aws:{aws_plugin}"));
}

/// The reference says which version of a plugin the storages were tried with, under the tag of the image that users run.
fn assert_documented(default: &str, built: &str) {
    let (image, tag) = default.split_once(':').unwrap();
    let plugin = image.rsplit('/').next().unwrap();
    let told = format!("| {plugin} {built}, under the tag {tag} that the charm asks for");
    assert!(read("docs/reference/relations.md").contains(&told), "{told}");
}

/// As for Azure.
#[test]
fn the_image_of_the_gcs_plugin_is_found_under_the_tag_that_the_charm_asks_for() {
    let default = format!("docker.io/{}", option::VELERO_GCP_PLUGIN_IMAGE.default);
    assert_eq!(images::VELERO_PLUGIN_FOR_GCP, default);
    let built = go_version("velero-plugin-for-gcp", "github.com/vmware-tanzu/velero-plugin-for-gcp");
    assert_documented(option::VELERO_GCP_PLUGIN_IMAGE.default, &built);
}

/// Go's module proxy does not have the version whole that users run, so the sandbox gives its tag to what can be built.
#[test]
fn the_image_of_the_azure_plugin_is_found_under_the_tag_that_the_charm_asks_for() {
    let default = format!("docker.io/{}", option::VELERO_AZURE_PLUGIN_IMAGE.default);
    assert_eq!(images::VELERO_PLUGIN_FOR_MICROSOFT_AZURE, default);
    let built =
        go_version("velero-plugin-for-microsoft-azure", "github.com/vmware-tanzu/velero-plugin-for-microsoft-azure");
    assert_documented(option::VELERO_AZURE_PLUGIN_IMAGE.default, &built);
}

/// `velero install` takes the tag of some images from it.
#[test]
fn the_bundled_cli_knows_its_version() {
    let version = go_version("velero", "github.com/vmware-tanzu/velero");
    let flag = format!("-X github.com/vmware-tanzu/velero/pkg/buildinfo.Version={version}");
    assert!(read("tools/velero/ldflags").trim_end().ends_with(&flag));
}

#[test]
fn charmcraft_installs_compilers_that_are_new_enough() {
    let go = charmcraft_part("velero")["build-snaps"][0].as_str().unwrap().to_owned();
    let channel = go.strip_prefix("go/").and_then(|channel| channel.strip_suffix("/stable")).unwrap();
    assert_eq!(minor(channel), minor(&go_version("velero", "go")), "{go} must be the Go of tools/velero/go.mod");

    let rust = charmcraft_part("operator")["rust-channel"].as_str().unwrap().to_owned();
    let (installed, needed) = (minor(&rust), minor(env!("CARGO_PKG_RUST_VERSION")));
    assert!(installed >= needed, "Rust {rust} is older than the rust-version in Cargo.toml");
}
