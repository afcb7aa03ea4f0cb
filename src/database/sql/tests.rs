use super::*;

fn cut(text: &str) -> Vec<&str> {
    split(text)
        .unwrap()
        .statements
        .into_iter()
        .map(|statement| &text[statement.span])
        .collect()
}

#[test]
fn semicolons_in_quotes_and_comments_do_not_cut() {
    assert_eq!(cut("select 1; select 2"), ["select 1", "select 2"]);
    assert_eq!(cut(" ;; -- only ; comment\n/* ; /* ; */ ; */"), [""; 0]);
    assert_eq!(
        cut("select ';', 'it''s;';select 2"),
        ["select ';', 'it''s;'", "select 2"]
    );
    assert_eq!(
        cut(r"select E'\';'; select 2"),
        [r"select E'\';'", "select 2"]
    );
    assert_eq!(cut(r"select '\'; select 2"), [r"select '\'", "select 2"]);
    assert_eq!(cut("select \"a;\"\"b\" ; x"), ["select \"a;\"\"b\"", "x"]);
    assert_eq!(cut("a /* ; */ b; -- c;\nd"), ["a /* ; */ b", "d"]);
    assert_eq!(cut("select 1 -- end"), ["select 1"]);
}

#[test]
fn dollar_quotes() {
    assert_eq!(cut("do $$ begin; end $$; x"), ["do $$ begin; end $$", "x"]);
    assert_eq!(cut("do $a$ $$;$b$; $a$; x"), ["do $a$ $$;$b$; $a$", "x"]);
    assert_eq!(
        cut("select $1; select a$b$c; x"),
        ["select $1", "select a$b$c", "x"]
    );
    assert_eq!(cut("select $é1$;$é1$; x"), ["select $é1$;$é1$", "x"]);
}

#[test]
fn a_continued_string_keeps_its_escapes() {
    assert_eq!(
        cut("select E'a' -- c\n  '\\';b'; x"),
        ["select E'a' -- c\n  '\\';b'", "x"]
    );
    assert_eq!(cut("select 'a'\n'\\'; x"), ["select 'a'\n'\\'", "x"]);
}

#[test]
fn bodies_of_routines_and_rules_stay_whole() {
    let function = "create or replace function f() returns int begin atomic \
                    select case when true then 1 end; select 2; end";
    assert_eq!(
        cut(&format!("{function}; select 3")),
        [function, "select 3"]
    );
    let rule = "create rule r as on insert to t do (select 1; select 2)";
    assert_eq!(cut(&format!("{rule}; x")), [rule, "x"]);
    assert_eq!(
        cut("begin; select 1; end; x"),
        ["begin", "select 1", "end", "x"]
    );
}

#[test]
fn transaction_control_is_known() {
    let control = |text: &str| split(text).unwrap().statements[0].control();
    for begin in ["BEGIN", "begin work", "START TRANSACTION READ ONLY"] {
        assert_eq!(control(begin), Some(Control::Begin), "{begin}");
    }
    for end in [
        "commit",
        "END",
        "rollback",
        "ABORT",
        "/* x */ commit and chain",
        "prepare transaction 'x'",
    ] {
        assert_eq!(control(end), Some(Control::End), "{end}");
    }
    for other in [
        "rollback to a",
        "rollback to savepoint a",
        "ROLLBACK WORK TO a",
        "savepoint a",
        "prepare x as select 1",
        "start",
    ] {
        assert_eq!(control(other), None, "{other}");
    }
}

#[test]
fn copy_from_stdin_is_known() {
    let copies = |text: &str| split(text).unwrap().statements[0].copies_stdin();
    assert!(copies("COPY public.t (a, b, c, d, e) FROM stdin"));
    assert!(!copies("copy t to stdout"));
    assert!(!copies("copy t from '/stdin'"));
    assert!(!copies("select * from stdin"));
}

#[test]
fn what_never_closes_is_an_error_at_its_start() {
    for (text, at) in [
        ("select 'a", 7),
        ("x /* /* */", 2),
        ("a $$ b", 2),
        ("\"a", 0),
        ("é E'\\'", 4),
        ("a;\\c db", 2),
    ] {
        assert_eq!(split(text).unwrap_err().at, at, "{text}");
    }
}

proptest::proptest! {
    /// Cutting never panics, and whatever is cut lies in order within the text.
    #[test]
    fn any_text_is_cut_or_refused(text in r#"([a-z;'"$\\é\n (){}/*-]|\$\$|--|/\*|\*/|E'){0,40}"#) {
        if let Ok(split) = split(&text) {
            let mut end = 0;
            for statement in split.statements {
                assert!(statement.span.start >= end && statement.span.end > statement.span.start);
                end = statement.span.end;
                assert!(text.get(statement.span).is_some());
            }
        }
    }
}
