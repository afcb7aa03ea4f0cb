//! Bad input: each has a place and something to do.

use super::*;

#[tokio::test]
async fn a_syntax_error_has_its_place() {
    Case::new(&[(
        "proto/a.proto",
        "syntax = \"proto3\";\n\nmessage A {\n  /* é */ string = 1;\n}\n",
    )])
    .rust()
    .fails(expect![[r#"
        cannot compile `proto/a.proto`: expected an identifier, but found `=`
        at proto/a.proto:4:18"#]])
    .await;
}

#[tokio::test]
async fn an_early_end_has_its_place() {
    Case::new(&[("proto/a.proto", "syntax = \"proto3\";\nmessage A {\n\n")])
        .rust()
        .fails(expect![[r#"
            cannot compile `proto/a.proto`: expected a message field, oneof, reserved range, enum, message, option or `}`, but reached end of file
            at proto/a.proto:2:12"#]])
        .await;
}

#[tokio::test]
async fn an_unknown_type_has_its_place() {
    Case::new(&[(
        "proto/sub/a.proto",
        "syntax = \"proto3\";\nmessage A {\n  Missing m = 1;\n}\n",
    )])
    .rust()
    .fails(expect![[r#"
        cannot compile `proto/sub/a.proto`: name `Missing` is not defined
        at proto/sub/a.proto:3:3"#]])
    .await;
}

#[tokio::test]
async fn a_missing_import_has_its_place() {
    Case::new(&[(
        "proto/a.proto",
        "syntax = \"proto3\";\nimport \"nothing/b.proto\";\n",
    )])
    .rust()
    .fails(expect![[r#"
        cannot compile `proto/a.proto`: import `nothing/b.proto` not found
        at proto/a.proto:2:8
        help imports start from the folders in `include`: `proto`"#]])
    .await;
}

#[tokio::test]
async fn an_import_circle_has_its_place() {
    Case::new(&[
        (
            "proto/a.proto",
            "syntax = \"proto3\";\nimport \"b.proto\";\n",
        ),
        (
            "proto/b.proto",
            "syntax = \"proto3\";\n  import \"a.proto\";\n",
        ),
    ])
    .rust()
    .fails(expect![[r#"
        cannot compile `proto/b.proto`: imports lead in a circle: a.proto → b.proto → a.proto
        at proto/b.proto:2:10
        help move what both files need into a third one"#]])
    .await;
}

#[tokio::test]
async fn an_edition_is_refused_in_a_file_and_in_an_import() {
    let case = Case::new(&[
        (
            "proto/a.proto",
            "syntax = \"proto3\";\nimport \"b.proto\";\n",
        ),
        ("lib/b.proto", "// new\nedition = \"2023\";\nmessage B {}\n"),
    ])
    .rust();
    let mut case = case;
    case.proto.include.push("lib".into());
    case.fails(expect![[r#"
        `lib/b.proto` uses edition 2023, which the generators in process do not know
        at lib/b.proto:2:11
        help write `syntax = "proto3";` instead of the edition"#]])
        .await;
}

#[tokio::test]
async fn a_file_in_another_encoding_is_refused() {
    let case = Case::new(&[("proto/a.proto", "")]).rust();
    fs::write(
        case.join("proto/a.proto"),
        b"syntax = \"proto3\";\n// \xe9\n",
    )
    .unwrap();
    case.fails(expect![[r#"
        cannot compile `proto/a.proto`: it is not valid UTF-8
        at proto/a.proto:2:4
        help save the file as UTF-8"#]])
        .await;
}

#[tokio::test]
async fn no_files_no_include_and_hidden_files() {
    let mut case = Case::new(&[("other/a.proto", HELLO)]).rust();
    case.fails(expect![[r#"
        `proto.x` has no files: nothing matches `proto/**/*.proto`
        at proto.x.files
        help globs are relative to the project; files that git ignores must be named without wildcards"#]]).await;
    case.proto.files = vec!["other/a.proto".into()];
    case.fails(expect![[r#"
        `other/a.proto` is in no include folder of `proto.x`
        at proto.x.include
        note include folders: `proto`
        help add the folder that imports start from to `include`"#]])
        .await;
    case.write("proto/a.proto", HELLO);
    case.proto.include.push("other".into());
    case.fails(expect![[r#"
        `other/a.proto` is hidden by `proto/a.proto`: both are `a.proto` to an import
        at proto.x.include
        help change the order of `include`, or leave one of the files out of `files`"#]])
        .await;
    case.proto.files = vec!["other/b.proto".into()];
    case.fails(expect![[r#"
        `proto.x` has no files: nothing matches `other/b.proto`
        at proto.x.files
        help globs are relative to the project; files that git ignores must be named without wildcards"#]])
        .await;
}

#[tokio::test]
async fn an_attribute_that_is_no_rust_is_refused() {
    let mut case = Case::new(&[("proto/a.proto", HELLO)]).rust();
    let rust = case.proto.rust.as_mut().unwrap();
    rust.type_attribute.insert(".".into(), "derive(Eq)".into());
    case.fails(expect![[r#"
        `derive(Eq)` is no valid Rust: unexpected token
        at proto.x.rust.type_attribute.."#]])
        .await;
    let rust = case.proto.rust.as_mut().unwrap();
    rust.type_attribute.clear();
    rust.extern_path.insert("no.dot".into(), "::a".into());
    case.fails(expect![[r#"
        `no.dot` must begin with a dot: `.no.dot`
        at proto.x.rust.extern_path.no.dot"#]])
        .await;
}

#[tokio::test]
async fn another_prost_is_refused() {
    let case = Case::new(&[
        ("proto/a.proto", HELLO),
        ("Cargo.toml", "[package]\nname = \"app\"\n"),
        (
            "Cargo.lock",
            "[[package]]\nname = \"prost\"\nversion = \"0.13.5\"\n",
        ),
    ])
    .rust();
    case.fails(expect![[r#"
        `app` uses prost 0.13.5, but the generated code needs prost 0.14
        at proto.x.rust
        note read from `Cargo.lock`
        help set `prost = "0.14"` in the dependencies of `app`, then run `cargo update -p prost`"#]]).await;
}

#[tokio::test]
async fn a_missing_plugin_says_where_it_was_looked_for() {
    let case = Case::new(&[("proto/a.proto", HELLO)]).plugin("gone", "");
    fs::remove_file(case.join("bin/protoc-gen-gone")).unwrap();
    let cancel = CancellationToken::new();
    let path = std::env::join_paths([case.join("bin"), case.join("more")]).unwrap();
    let error = generate(case.dir.path(), "x", &case.proto, &path, &cancel)
        .await
        .unwrap_err();
    let root = case.dir.path().display().to_string();
    expect![[r#"
        plugin `protoc-gen-gone` is not installed
        at proto.x.plugin.gone
        note looked in `[ROOT]/bin`, `[ROOT]/more`
        help install `protoc-gen-gone`, such as by a `[toolchain]` table, or name it with `command`"#]].assert_eq(&shown(&error.explain()).replace(&root, "[ROOT]"));
}

#[tokio::test]
async fn a_failing_plugin_shows_its_words() {
    Case::new(&[("proto/a.proto", HELLO)])
        .plugin(
            "fails",
            "sys.stderr.write('warning: one\\nfatal: two\\n'); sys.exit(3)",
        )
        .fails(expect![[r#"
            plugin `protoc-gen-fails` failed: it ended with code 3
            at proto.x.plugin.fails
            note warning: one
            note fatal: two"#]])
        .await;
    Case::new(&[("proto/a.proto", HELLO)])
        .plugin("refuses", "error('a.proto: no go_package')")
        .fails(expect![[r#"
            plugin `protoc-gen-refuses` failed: a.proto: no go_package
            at proto.x.plugin.refuses"#]])
        .await;
    Case::new(&[("proto/a.proto", HELLO)])
        .plugin("prints", "print('hello, I am no plugin')")
        .fails(expect![[r#"
            plugin `protoc-gen-prints` failed: its answer cannot be read: failed to decode Protobuf message: unexpected end group tag
            at proto.x.plugin.prints"#]])
        .await;
}

#[tokio::test]
async fn proto3_optional_needs_a_plugin_that_knows_it() {
    let text = "syntax = \"proto3\"; message A { message B { optional string s = 1; } }";
    Case::new(&[("proto/a.proto", text)])
        .plugin("old", "file('a', 'x')")
        .fails(expect![[r#"
            plugin `protoc-gen-old` failed: `a.proto` has `optional` fields, which it does not support in proto3
            at proto.x.plugin.old"#]])
        .await;
    let case = Case::new(&[("proto/a.proto", text)]).plugin("new", "features(1); file('a', 'x')");
    assert_eq!(case.generate().await["out/a"], "x");
}

#[tokio::test]
async fn names_that_escape_are_refused() {
    for name in ["../x", "/etc/x", "a/../../x", "a//x", "./x", "a\\\\x", "a/"] {
        let script = format!("file('ok', ''); file('{name}', 'x')");
        let case = Case::new(&[("proto/a.proto", HELLO)]).plugin("bad", &script);
        let error = case.try_generate().await.unwrap_err();
        assert!(
            matches!(error, ProtoError::PathOutside { .. }),
            "{name}: {error}"
        );
    }
    let mut case = Case::new(&[("proto/a.proto", HELLO)]).rust();
    case.proto.rust.as_mut().unwrap().out = "../gen".into();
    case.fails(expect![[r#"
        output folder `../gen` leads out of the project
        at proto.x.rust.out
        help name a folder inside the project"#]])
        .await;
}

#[tokio::test]
async fn two_writers_of_one_file_are_refused() {
    Case::new(&[("proto/a.proto", HELLO)])
        .rust()
        .plugin_in("one", "file('hello.v1.rs', 'x')", "./gen/", &[])
        .fails(expect![[r#"
            `proto.x.rust` and `proto.x.plugin.one` both write `gen/hello.v1.rs`
            at proto.x.plugin.one.out
            help give each generator an output folder of its own, or options that change its file names"#]])
        .await;
    Case::new(&[("proto/a.proto", HELLO)])
        .plugin("one", "file('a', 'x'); file('a', 'y')")
        .fails(expect![[r#"
            `proto.x.plugin.one` writes `out/a` twice
            at proto.x.plugin.one
            help check the plugin's options, or report it to the plugin's authors"#]])
        .await;
    Case::new(&[("proto/a.proto", HELLO)])
        .plugin("one", "file('a', 'x', 'point')")
        .fails(expect![[r#"
            `proto.x.plugin.one` inserts into `out/a` at `point`, but no generator wrote that file
            at proto.x.plugin.one
            help add the plugin that writes the file, with the same `out`"#]])
        .await;
}
