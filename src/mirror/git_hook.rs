//! The script that git runs for a hook: a few lines of `sh` that call devenv.

/// What the script of a hook depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shim<'a> {
    /// `pre-push`.
    pub hook: &'a str,
    /// The project's folder in the repository; empty when it is all of it.
    pub project: &'a str,
    /// Where devenv is if it is not on PATH, as in programs with windows; `None` in a script that others may have too.
    pub program: Option<&'a str>,
}

/// How a script begins that was written here.
const WRITER: &str = "#!/bin/sh\n# Written by `devenv hooks install`, seal ";
/// What only such a script says, whatever became of its first lines.
const CALL: &str = " hooks run --shim ";
/// Characters of the seal.
const SEAL: usize = 16;

/// Whose a file in the folder of hooks is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// Written here, and as it was written.
    Devenv,
    /// Written here and edited since.
    Edited,
    Other,
}

impl Shim<'_> {
    /// All of the file. What was there before is beside it under the name that [`chained`] gives.
    pub fn text(&self) -> String {
        let body = self.body();
        format!("{WRITER}{}.\n{body}", seal(&body))
    }

    fn body(&self) -> String {
        let Self { hook, .. } = self;
        let fallback = self.program.map(quoted);
        let find = match &fallback {
            Some(program) => format!("devenv=$(command -v devenv) || devenv={program}\n"),
            None => "devenv=$(command -v devenv) || devenv=\n".to_owned(),
        };
        let nor = match &fallback {
            Some(_) => " nor where it was",
            None => "",
        };
        let project = match self.project {
            "" => ".".to_owned(),
            project => quoted(project),
        };
        format!(
            "# `devenv hooks uninstall` removes it. What it checks is [hook.{hook}] of devenv.toml.\n\
             # DEVENV_HOOKS=0 in the environment skips it once.\n\
             if [ \"${{DEVENV_HOOKS-}}\" = 0 ]; then\n    \
                 [ ! -x \"$0.chained\" ] || exec \"$0.chained\" \"$@\"\n    \
                 exit 0\n\
             fi\n\
             {find}\
             if [ ! -x \"$devenv\" ]; then\n    \
                 echo \"{hook}: devenv is not on PATH{nor}: 'cargo install --locked --path .' in a clone of devenv puts it there, DEVENV_HOOKS=0 skips the hook once\" >&2\n    \
                 exit 1\n\
             fi\n\
             exec \"$devenv\"{CALL}\"$0\" --project {project} {hook} -- \"$@\"\n"
        )
    }
}

/// Where the hook is kept that was there before, and runs first.
pub fn chained(hook: &str) -> String {
    format!("{hook}.chained")
}

/// Whose file this is.
pub fn author(text: &[u8]) -> Author {
    let calls = || text.windows(CALL.len()).any(|part| part == CALL.as_bytes());
    let Some(rest) = text.strip_prefix(WRITER.as_bytes()) else {
        return if calls() {
            Author::Edited
        } else {
            Author::Other
        };
    };
    let sealed = rest.split_at_checked(SEAL).and_then(|(seal, rest)| {
        let body = rest.strip_prefix(b".\n")?;
        Some((seal, std::str::from_utf8(body).ok()?))
    });
    match sealed {
        Some((found, body)) if found == seal(body).as_bytes() => Author::Devenv,
        Some(_) | None => Author::Edited,
    }
}

/// The folder of the project that a script is for.
pub fn project(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(" --project ")?;
    let word = match rest.strip_prefix('\'') {
        // A quote in a quoted word ends it, stands escaped, and begins the next.
        Some(quoted) => {
            let (word, _) = quoted.split_once("' ")?;
            word.replace("'\\''", "'")
        }
        None => rest.split(' ').next()?.to_owned(),
    };
    Some(if word == "." { String::new() } else { word })
}

/// Tells whether a script was edited: no secret.
fn seal(body: &str) -> String {
    blake3::hash(body.as_bytes()).to_hex()[..SEAL].to_owned()
}

/// As a word of `sh`.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const SHIM: Shim<'_> = Shim {
        hook: "pre-push",
        project: "it's/here",
        program: Some("/opt/my tools/devenv"),
    };

    #[test]
    fn is_a_few_lines_that_call_devenv() {
        expect![[r##"
            #!/bin/sh
            # Written by `devenv hooks install`, seal 677559ebf468ba98.
            # `devenv hooks uninstall` removes it. What it checks is [hook.pre-push] of devenv.toml.
            # DEVENV_HOOKS=0 in the environment skips it once.
            if [ "${DEVENV_HOOKS-}" = 0 ]; then
                [ ! -x "$0.chained" ] || exec "$0.chained" "$@"
                exit 0
            fi
            devenv=$(command -v devenv) || devenv='/opt/my tools/devenv'
            if [ ! -x "$devenv" ]; then
                echo "pre-push: devenv is not on PATH nor where it was: 'cargo install --locked --path .' in a clone of devenv puts it there, DEVENV_HOOKS=0 skips the hook once" >&2
                exit 1
            fi
            exec "$devenv" hooks run --shim "$0" --project 'it'\''s/here' pre-push -- "$@"
        "##]]
        .assert_eq(&SHIM.text());
    }

    #[test]
    fn is_known_as_long_as_nobody_edits_it() {
        let text = SHIM.text();
        assert_eq!(author(text.as_bytes()), Author::Devenv);
        let other = Shim {
            program: None,
            project: "",
            ..SHIM
        }
        .text();
        assert_eq!(author(other.as_bytes()), Author::Devenv);
        assert_ne!(text, other);
        for edited in [
            text.replace("exit 1", "exit 0"),
            text.clone() + "\n",
            text[..70].to_owned(),
            text.replace("#!/bin/sh", "#!/bin/bash"),
        ] {
            assert_eq!(author(edited.as_bytes()), Author::Edited, "{edited}");
        }
        assert_eq!(project(&text).as_deref(), Some(SHIM.project));
        assert_eq!(project(&other).as_deref(), Some(""));
        assert_eq!(author(b"#!/bin/sh\nexit 0\n"), Author::Other);
        assert_eq!(author(&[0xff]), Author::Other);
    }
}
