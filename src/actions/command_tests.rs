use super::*;

#[test]
fn words_are_split_as_a_shell_does_and_nothing_is_expanded() {
    assert_eq!(
        parse(r#"velero backup create "two words" --labels 'a=$(id)' --selector a\ b"#).unwrap(),
        ["backup", "create", "two words", "--labels", "a=$(id)", "--selector", "a b"]
    );
    // Without a shell the semicolon is a letter like any other.
    assert!(matches!(parse("backup get; rm -rf /"), Err(Refusal::NotAllowed { .. })));
    assert_eq!(parse("backup create 'x"), Err(Refusal::Quotes));
    assert_eq!(parse("backup create x\0"), Err(Refusal::Nul));
}

#[test]
fn the_everyday_commands_pass() {
    for command in [
        "backup get",
        "backup get nightly -o json",
        "backup get -ojson --show-labels=false",
        "backup create nightly --wait --include-namespaces a,b -l app=shop",
        "backup create nightly -wl app=shop",
        "backup create nightly --snapshot-volumes=false --ttl=1h",
        "backup create nightly --labels -n=x",
        "backup logs nightly --timeout 5m --insecure-skip-tls-verify",
        "backup --help",
        "restore -h",
        "restore create --from-backup nightly --wait",
        "restore describe nightly --details",
        "schedule create daily --schedule \"0 3 * * *\" --ttl 72h",
        "schedule pause daily --skip-immediately true",
        "backup delete nightly --confirm",
        "backup create -- --namespace",
        "backup create - ''",
        "backup get -lname=x",
        "backup get -l=name=x",
    ] {
        assert!(parse(command).is_ok(), "{command}: {:?}", parse(command));
    }
}

#[test]
fn everything_else_is_refused_with_a_list_of_what_is_allowed() {
    for command in [
        "",
        "   ",
        "velero",
        "install",
        "uninstall --force",
        "plugin add x",
        "backup-location delete default",
        "backup",
        "backup frobnicate",
        "backup --help create -v=10",
        "--help",
        "get backups",
    ] {
        let refusal = parse(command).unwrap_err();
        assert!(
            refusal.to_string().contains("allowed are backup (create, get, describe, logs, delete), restore (create,"),
            "{command}: {refusal}"
        );
    }
    let told = |command: &str| parse(command).unwrap_err().to_string();
    assert!(told("frobnicate").contains("velero frobnicate is not allowed"), "{}", told("frobnicate"));
    assert!(told("backup").contains("velero backup needs a subcommand"), "{}", told("backup"));
}

#[test]
fn a_flag_that_the_subcommand_has_not_is_refused_in_every_form() {
    for (flag, name) in [
        ("--kubeconfig /x", "--kubeconfig"),
        ("--kubeconfig=/x", "--kubeconfig"),
        ("--namespace other", "--namespace"),
        ("-n other", "-n"),
        ("-n=other", "-n"),
        ("-nother", "-n"),
        ("-hn other", "-n"),
        ("-h=true -n other", "-n"),
        ("-vl", "-v"),
        ("-v=10", "-v"),
        ("--v 10", "--v"),
        ("--logtostderr=false", "--logtostderr"),
        ("--vmodule=*=9", "--vmodule"),
        ("--log_dir=/x", "--log_dir"),
        ("--log-dir=/x", "--log-dir"),
        ("--colorized", "--colorized"),
        ("--features=x", "--features"),
        ("--wait", "--wait"),
        ("-test.v", "-t"),
        ("--=x", "--"),
        ("---x", "---x"),
        ("-é", "-é"),
    ] {
        let refusal = parse(&format!("backup get {flag}")).unwrap_err();
        let expected = format!("the flag {name} is not allowed with backup get");
        assert!(refusal.to_string().starts_with(&expected), "{flag}: {refusal}");
        assert!(!refusal.to_string().contains("/x"), "{refusal}");
    }
    assert_eq!(parse("backup download nightly -o /tmp/x"), Err(Refusal::Download));
}

#[test]
fn no_flag_hides_as_the_value_of_another() {
    for command in [
        // The value of the first is the word behind it, whatever it looks like.
        "backup get --selector -- -v=10",
        "backup get -l -- -v=10",
        "backup get -l -o -v=10",
        "backup get --selector=x -v=10",
        "backup get -l=x -v=10",
        "backup get -lx -v=10",
        // These two take no value from the next word.
        "backup get --show-labels -v=10",
        "backup create x -w -v=10",
        "backup create x --snapshot-volumes -v=10",
        "backup create x - -v=10",
    ] {
        let refusal = parse(command).unwrap_err().to_string();
        assert!(refusal.starts_with("the flag -v is not allowed"), "{command}: {refusal}");
    }
    assert!(parse("backup get --selector -v=10").is_ok());
    assert!(parse("backup get -- -v=10").is_ok());
}

#[test]
fn a_wrong_flag_is_answered_with_the_right_one_or_with_all() {
    let told = |command: &str| parse(command).unwrap_err().to_string();
    assert_eq!(
        told("backup create x --lables a=b"),
        "the flag --lables is not allowed with backup create; did you mean --labels?"
    );
    assert!(told("backup create x --include_namespace=a").ends_with("did you mean --include-namespaces?"));
    assert_eq!(
        told("schedule describe x --frobnicate"),
        "the flag --frobnicate is not allowed with schedule describe; global flags are the charm's to set, and its own are \
         --selector (-l), --help (-h)"
    );
}

#[test]
fn a_flag_that_names_a_file_of_the_unit_is_refused_with_the_reason() {
    for command in ["backup logs x --cacert /etc/shadow", "restore describe x --cacert=/etc/shadow"] {
        let refusal = parse(command).unwrap_err().to_string();
        assert!(refusal.starts_with("the flag --cacert is not allowed here: it names a file"), "{refusal}");
        assert!(!refusal.contains("shadow"), "{refusal}");
    }
}

#[test]
fn what_would_ask_needs_its_answer_beforehand() {
    for command in [
        "backup delete nightly",
        "restore delete --all",
        "schedule delete x --confirm=false",
        "schedule delete x --confirm --confirm=false",
        "schedule delete x -l --confirm",
        "schedule delete x --help=false",
        "backup delete x -- --confirm",
    ] {
        let refusal = parse(command).unwrap_err();
        assert!(refusal.to_string().contains("--confirm"), "{refusal}");
    }
    for command in
        ["backup delete --help", "backup delete x --confirm=T", "backup delete x --confirm=false --confirm=1"]
    {
        assert!(parse(command).is_ok(), "{command}");
    }
}
