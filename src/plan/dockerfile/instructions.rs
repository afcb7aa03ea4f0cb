//! Where each instruction stands in a Dockerfile, so that a failure points at its line, and its words, so that one can be replaced.

/// One instruction, continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Counts from 1.
    pub line: usize,
    pub text: String,
}

/// The instructions in order; comments, directives and the bodies of here-documents are none.
pub fn parse(dockerfile: &str) -> Vec<Instruction> {
    let escape = escape(dockerfile);
    let mut found = Vec::new();
    let mut lines = dockerfile.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut text = line.trim().to_owned();
        while text.ends_with(escape) {
            text.pop();
            let Some((_, next)) = lines.next() else { break };
            let next = next.trim();
            // Comments and empty lines inside a continued instruction are skipped.
            if next.is_empty() || next.starts_with('#') {
                text.push(escape);
                continue;
            }
            text.push_str(next);
        }
        let ends = here_documents(&text);
        for end in ends {
            for (_, body) in lines.by_ref() {
                if body.trim_start_matches('\t') == end {
                    break;
                }
            }
        }
        found.push(Instruction {
            line: index + 1,
            text,
        });
    }
    found
}

/// `# escape=` in the leading directives.
fn escape(dockerfile: &str) -> char {
    for line in dockerfile.lines() {
        let Some((key, value)) = line.strip_prefix('#').and_then(|line| line.split_once('='))
        else {
            break;
        };
        if key.trim().eq_ignore_ascii_case("escape") {
            return value.trim().chars().next().unwrap_or('\\');
        }
    }
    '\\'
}

/// The end words of `RUN <<EOF`.
fn here_documents(text: &str) -> Vec<String> {
    let word = text.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
    {
        return Vec::new();
    }
    let ends = text.split("<<").skip(1).map(|rest| {
        let rest = rest.trim_start_matches('-').trim_start_matches(['"', '\'']);
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        rest[..end.unwrap_or(rest.len())].to_owned()
    });
    ends.filter(|end| !end.is_empty()).collect()
}

/// The instruction a builder names, as far as it can be told: its words are the same.
pub fn find<'a>(instructions: &'a [Instruction], said: &str) -> Option<&'a Instruction> {
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let said = words(said);
    instructions.iter().find(|known| words(&known.text) == said)
}

/// A word and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// Bytes before it.
    pub at: usize,
    pub text: &'a str,
}

impl Word<'_> {
    pub fn range(&self) -> std::ops::Range<usize> {
        self.at..self.at + self.text.len()
    }
}

/// The words of each instruction as they stand in the file, with those of a here-document after its own.
pub fn words(dockerfile: &str) -> Vec<Vec<Word<'_>>> {
    let escape = escape(dockerfile);
    let starts: Vec<_> = parse(dockerfile)
        .into_iter()
        .map(|known| known.line)
        .collect();
    let mut all = Vec::new();
    let mut at = 0;
    for (index, line) in dockerfile.split_inclusive('\n').enumerate() {
        if starts.contains(&(index + 1)) {
            all.push(Vec::new());
        }
        if let Some(words) = all.last_mut()
            && !line.trim_start().starts_with('#')
        {
            let parts = line.split(|c: char| c.is_ascii_whitespace());
            let mut start = at;
            for part in parts {
                // Alone, it only joins lines.
                if !part.is_empty() && !part.chars().eq([escape]) {
                    words.push(Word {
                        at: start,
                        text: part,
                    });
                }
                start += part.len() + 1;
            }
        }
        at += line.len();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_as_a_person_does() {
        let text = "# syntax=docker/dockerfile:1\n\nFROM a AS b\nRUN one \\\n  # why\n  && two\nRUN <<EOF\nFROM not\nEOF\nCOPY . .\n";
        let found: Vec<_> = parse(text)
            .into_iter()
            .map(|known| (known.line, known.text))
            .collect();
        let expected = [
            (3, "FROM a AS b"),
            (4, "RUN one && two"),
            (7, "RUN <<EOF"),
            (10, "COPY . ."),
        ];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
        assert_eq!(find(&parse(text), "RUN one   && two").unwrap().line, 4);
    }

    #[test]
    fn another_escape_character() {
        let found = parse("# escape=`\nFROM a\nRUN x `\ny\n");
        assert_eq!(found[1].text, "RUN x y");
    }
}
