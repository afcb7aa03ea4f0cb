use std::fmt::Write;

use expect_test::{Expect, expect};

use super::*;
use crate::event::Site;

/// What is found in this output, in a project with these files.
fn check(output: &str, expect: Expect) {
    let dir = project();
    let output = output.replace("[ROOT]", &dir.path().display().to_string());
    let mut problems = Problems::new(dir.path());
    output.lines().for_each(|line| problems.hear(line));
    expect.assert_eq(&shown(&problems.take()));
}

fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for file in [
        "src/x.rs",
        "src/y.rs",
        "a.py",
        "web/x.ts",
        "x_test.go",
        "x.c",
        "a b.js",
    ] {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("made");
        fs::write(path, "").expect("written");
    }
    dir
}

fn shown(faults: &[Fault]) -> String {
    let mut text = String::new();
    for fault in faults {
        let Some(site @ Site::File { .. }) = &fault.site else {
            panic!("{fault:?}");
        };
        let code = fault.code.as_deref().unwrap_or("-");
        let (severity, message) = (fault.severity, &fault.message);
        writeln!(text, "{site} {severity:?} {code} {message}").expect("a string");
    }
    text
}

#[test]
fn rustc_and_clippy() {
    check(
        "   Compiling x v0.1.0 ([ROOT])\n\
         warning: unused variable: `a`\n --> src/y.rs:1:9\n  |\n1 | let a = 1;\n\n\
         \u{1b}[1m\u{1b}[91merror[E0308]\u{1b}[0m\u{1b}[1m: mismatched types\u{1b}[0m\n  \u{1b}[94m--> \u{1b}[0msrc/x.rs:3:5\n   |\n\
         note: function defined here\n  --> src/y.rs:7:1\n\n\
         error: this loop never loops\n   --> [ROOT]/src/x.rs:30:1\n\n\
         error: of a dependency\n   --> /root/.cargo/registry/src/y/src/lib.rs:1:1\n\n\
         error: aborting due to 2 previous errors; 1 warning emitted\n\n\
         error: could not compile `x` (lib) due to 2 previous errors\n",
        expect![[r#"
            src/x.rs:3:5 Error E0308 mismatched types
            src/x.rs:30:1 Error - this loop never loops
            src/y.rs:1:9 Warning - unused variable: `a`
        "#]],
    );
}

#[test]
fn rustfmt() {
    check(
        "Diff in [ROOT]/src/x.rs:12:\n-a\n+b\nDiff in [ROOT]/src/y.rs at line 3:\nDiff in src/x.rs:40:\nDiff in nowhere.rs:1:\n",
        expect![[r#"
            src/x.rs:12:1 Error - it is not formatted
            src/y.rs:3:1 Error - it is not formatted
            src/x.rs:40:1 Error - it is not formatted
        "#]],
    );
}

#[test]
fn panics_of_tests() {
    check(
        "---- tests::a stdout ----\n\nthread 'tests::a' (4711) panicked at src/x.rs:4:5:\nassertion `left == right` failed\n  left: 1\n right: 2\n\
         note: run with `RUST_BACKTRACE=1`\nthread 'main' panicked at 'old: style', src/y.rs:9:1\n\
         thread 'b' panicked at /rustc/abc/library/core/src/option.rs:1:1:\ncalled `Option::unwrap()` on a `None` value\n",
        expect![[r#"
            src/x.rs:4:5 Error - assertion `left == right` failed
            src/y.rs:9:1 Error - old: style
        "#]],
    );
}

#[test]
fn compilers_and_linters_with_the_place_first() {
    check(
        "x.c: In function 'main':\nx.c:3:5: error: expected ';' before '}' token\nx.c:4:1: warning: unused [-Wunused-variable]\nx.c:3:5: note: here\n\
         ./x_test.go:7:2: undefined: foo\n    x_test.go:12: got 1, want 2\n\
         [ROOT]/a b.js:3:5: 'x' is not defined. [Error/no-undef]\na b.js:4:1: Unexpected console statement. [Warning/no-console]\n\
         a.py:1:8: F401 [*] `os` imported but unused\na.py:2: error: Incompatible types in assignment  [assignment]\na.py:9: AssertionError\n\
         web/x.ts(3,5): error TS2322: Type 'a' is not assignable to type 'b'.\nweb/x.ts(4,1): warning TS1: old\n",
        expect![[r#"
            x.c:3:5 Error - expected ';' before '}' token
            x_test.go:7:2 Error - undefined: foo
            x_test.go:12:1 Error - got 1, want 2
            a b.js:3:5 Error no-undef 'x' is not defined.
            a.py:1:8 Error F401 `os` imported but unused
            a.py:2:1 Error assignment Incompatible types in assignment
            a.py:9:1 Error - AssertionError
            web/x.ts:3:5 Error TS2322 Type 'a' is not assignable to type 'b'.
            x.c:4:1 Warning -Wunused-variable unused
            a b.js:4:1 Warning no-console Unexpected console statement.
        "#]],
    );
}

#[test]
fn ruff_with_the_place_below() {
    check(
        "F401 [*] `os` imported but unused\n --> a.py:1:8\n  |\n1 | import os\n",
        expect![[r#"
            a.py:1:8 Error F401 `os` imported but unused
        "#]],
    );
}

#[test]
fn tracebacks_end_with_what_is_wrong() {
    check(
        "Traceback (most recent call last):\n  File \"[ROOT]/a.py\", line 3, in <module>\n    f()\n  File \"/usr/lib/python3/json.py\", line 9, in loads\n    x\nValueError: no\n\
         done\n",
        expect![[r#"
            a.py:3:1 Error - ValueError: no
        "#]],
    );
}

#[test]
fn what_is_no_place_in_the_project_is_none() {
    check(
        "12:30:45 started\nhttp://127.0.0.1:8080: ok\nsrc/none.rs:1:1: error: x\n../../etc/passwd:1:1: x\n/etc/passwd:1:1: x\nsrc:1:1: a folder\n\
         src/x.rs\nsrc/x.rs:1\nsrc/x.rs:1:2\nsrc/x.rs:: x\n--> src/x.rs:1:1\n:1:1: x\nsrc/x.rs:99999999999999999999:1: x\n\u{1b}[\u{1b}]\u{1b}\n",
        expect![[r#""#]],
    );
}

#[test]
fn there_are_few_and_none_twice_and_errors_come_first() {
    let dir = project();
    let mut problems = Problems::new(dir.path());
    for number in 0..50 {
        problems.hear(&format!("x.c:{}:1: warning: w", number + 1));
        problems.hear(&format!("x.c:{}:1: error: e", number / 2 + 1));
    }
    let found = problems.take();
    assert_eq!(found.len(), KEPT);
    assert!(found.iter().all(|fault| fault.severity == Severity::Error));
    assert_eq!(problems.take(), Vec::new());
    problems.hear(&format!("x.c:1:1: {}", "é".repeat(2 * LONGEST)));
    assert_eq!(problems.take()[0].message.chars().count(), LONGEST);
}
