use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::test_readers::{Readers, runner};

fn amazon(url: Option<&str>, region: Option<&str>) -> Endpoint {
    Endpoint::Amazon { url: url.map(str::to_owned), region: region.map(str::to_owned) }
}

fn other(url: &str) -> Endpoint {
    Endpoint::Other { url: url.to_owned(), begins_with_bucket: false }
}

fn parse(text: &str) -> Endpoint {
    Endpoint::parse(text, "backups").unwrap()
}

#[test]
fn hosts_of_aws_tell_their_region() {
    for (host, region) in [
        ("s3.eu-west-3.amazonaws.com", "eu-west-3"),
        ("s3.eu-west-3.amazonaws.com.", "eu-west-3"),
        ("S3.EU-West-3.AmazonAWS.com", "eu-west-3"),
        ("s3-eu-west-3.amazonaws.com", "eu-west-3"),
        ("s3.dualstack.ap-southeast-7.amazonaws.com", "ap-southeast-7"),
        ("s3-fips.us-east-2.amazonaws.com", "us-east-2"),
        ("s3-fips.dualstack.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("s3-fips-us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("s3-us-gov-east-1.amazonaws.com", "us-gov-east-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("s3.dualstack.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"),
        ("s3.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("s3-external-1.amazonaws.com", "us-east-1"),
        ("bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("vpce-1a2b-5e6f-us-east-1a.s3.us-east-1.vpce.amazonaws.com", "us-east-1"),
    ] {
        let url = format!("https://{}", host.to_ascii_lowercase().trim_end_matches('.'));
        assert_eq!(parse(&format!("https://{host}/")), amazon(Some(&url), Some(region)), "{host}");
    }
}

#[test]
fn the_address_that_is_the_same_everywhere_is_left_to_the_plugin_which_asks_for_the_region() {
    for text in ["https://s3.amazonaws.com", "http://s3.amazonaws.com:80/", "https://backups.s3.amazonaws.com."] {
        assert_eq!(parse(text), Endpoint::AWS, "{text}");
    }
    assert_eq!(parse("https://s3-accelerate.amazonaws.com"), amazon(Some("https://s3-accelerate.amazonaws.com"), None));
}

#[test]
fn a_host_at_amazon_that_is_not_s3_is_another_store() {
    for host in ["minio-1234.eu-west-1.elb.amazonaws.com", "s3-gateway-12.elb.eu-west-1.amazonaws.com"] {
        assert_eq!(parse(&format!("https://{host}")), other(&format!("https://{host}")));
    }
    assert_eq!(parse("https://s3.example.test"), other("https://s3.example.test"));
}

#[test]
fn the_address_of_the_bucket_at_aws_becomes_that_of_the_service() {
    let paris = amazon(Some("https://s3.eu-west-3.amazonaws.com"), Some("eu-west-3"));
    assert_eq!(parse("https://backups.s3.eu-west-3.amazonaws.com"), paris);
    assert_eq!(Endpoint::parse("https://my.backups.s3.eu-west-3.amazonaws.com", "my.backups").unwrap(), paris);
    assert_eq!(Endpoint::parse("https://old_bucket.s3.eu-west-3.amazonaws.com", "Old_Bucket").unwrap(), paris);
    assert_eq!(
        parse("https://backups.vpce-1a-5e.s3.us-east-1.vpce.amazonaws.com"),
        amazon(Some("https://bucket.vpce-1a-5e.s3.us-east-1.vpce.amazonaws.com"), Some("us-east-1"))
    );
    let error = Endpoint::parse("https://other.s3.eu-west-3.amazonaws.com", "backups").unwrap_err().to_string();
    assert!(error.starts_with("endpoint is the address of another bucket"), "{error}");
}

#[test]
fn a_host_elsewhere_that_begins_with_the_bucket_may_be_either() {
    for (host, begins_with_bucket) in [
        ("backups.objects.example.test", true),
        ("Backups.example.test", true),
        ("backups", false),
        ("backups-2.example.test", false),
        ("store.example.test", false),
    ] {
        let url = format!("https://{}", host.to_ascii_lowercase());
        assert_eq!(parse(&format!("https://{host}")), Endpoint::Other { url, begins_with_bucket });
    }
}

#[test]
fn what_the_url_parser_mends_is_handed_on_mended() {
    for (text, url) in [
        ("http:/10.0.0.1:9000", "http://10.0.0.1:9000"),
        ("https:objects.example.test", "https://objects.example.test"),
        ("https:///objects.example.test", "https://objects.example.test"),
        ("https:\\\\objects.example.test\\", "https://objects.example.test"),
        ("HTTPS://Objects.Example.TEST:443/", "https://objects.example.test"),
        ("http://objects.example.test:80", "http://objects.example.test"),
        ("ht\ttps://objects\t.example.test:90\n00", "https://objects.example.test:9000"),
        ("https://büro.example.test", "https://xn--bro-hoa.example.test"),
        ("https://objects.example.test.", "https://objects.example.test."),
        ("http://0x7f.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("https://ob%6Aects.example.test", "https://objects.example.test"),
        ("http://minio_1:9000", "http://minio_1:9000"),
    ] {
        assert_eq!(parse(text), other(url), "{text:?}");
    }
}

#[test]
fn what_is_no_address_of_a_store_is_refused() {
    for (text, part) in [
        ("objects.example.test", "no URL"),
        ("10.0.0.1:9000", "no URL"),
        ("objects.example.test:9000", "does not begin with http://"),
        ("ftp://objects.example.test", "does not begin with http://"),
        ("https://objects.example.test/backups", "has a path"),
        ("https://objects.example.test\\backups", "has a path"),
        ("https://objects.example.test?x=1", "more than"),
        ("https://user:pw@objects.example.test", "password"),
        ("https://user@objects.example.test", "password"),
        ("https://:pw@objects.example.test", "password"),
        ("https://objects..example.test", "neither a name"),
        ("https://objects(1).example.test", "neither a name"),
        ("https://", "no URL"),
    ] {
        let error = Endpoint::parse(text, "backups").unwrap_err().to_string();
        assert!(error.starts_with("endpoint ") && error.contains(part), "{text}: {error}");
    }
}

/// Texts of what addresses are made of, in and out of place.
fn address() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "/",
        "//",
        "\\",
        ":",
        "@",
        ".",
        "..",
        "?",
        "#",
        "%",
        "%41",
        "[::1]",
        "[",
        "]",
        "10.0.0.1",
        "0x7f.1",
        "\t",
        " ",
        "\u{a0}",
        "ü",
        "。",
        "_",
        "-",
        "*",
        ",",
        "$",
        "é",
        "443",
        ":80",
        ":9000",
        "s3.eu-west-3.amazonaws.com",
        "s3.amazonaws.com",
        "backups.",
        "\u{ad}",
        "１",
    ]);
    let part = prop_oneof![2 => special.prop_map(str::to_owned), 1 => "[a-zA-Z0-9.-]{1,8}"];
    let scheme =
        prop::sample::select(vec!["http://", "https://", "HTTPS://", "http:", "https:/", "https:///", "http:\\\\", ""]);
    (scheme, prop::collection::vec(part, 1..5)).prop_map(|(scheme, parts)| scheme.to_owned() + &parts.concat())
}

#[test]
fn an_address_is_the_same_to_gos_parser_or_refused() {
    let (readers, accepted) = (RefCell::new(Readers::start()), RefCell::new(0));
    let property = |text: String| {
        let Ok(endpoint) = Endpoint::parse(&text, "backups") else { return Ok(()) };
        let (Endpoint::Amazon { url: Some(url), .. } | Endpoint::Other { url, .. }) = endpoint else { return Ok(()) };
        *accepted.borrow_mut() += 1;
        let read = readers.borrow_mut().read("endpoint", &url).map_err(TestCaseError::fail)?;
        prop_assert!(!read["host"].is_empty() && read["path"].is_empty(), "{}", url);
        prop_assert_eq!(&url, &format!("{}://{}", read["scheme"], read["host"]));
        prop_assert!(matches!(read["scheme"].as_str(), "http" | "https") && url.is_ascii());
        Ok(())
    };
    runner().run(&address(), property).unwrap();
    assert!(accepted.into_inner() > 100);
}

#[test]
fn a_host_of_a_zone_of_aws_is_of_aws() {
    let text = "https://s3express-use1-az4.us-east-1.amazonaws.com";
    assert_eq!(parse(text), amazon(Some(text), Some("us-east-1")));
}
