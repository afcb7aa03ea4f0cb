//! Aligned columns for answers: `ps`, `migrate status`, ports.

use std::fmt;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::{progress::STRONG, words};

/// Rows of cells below a header. Columns are two spaces apart; no line has trailing spaces.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    right: Vec<usize>,
    rows: Vec<Vec<Cell>>,
}

/// One field. Its text stays on one line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self {
            text: words::clean(&text.as_ref().replace('\n', " ")),
            style,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

impl Table {
    pub fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self {
            header: header.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Sets this column's cells flush right, for numbers.
    pub fn right(mut self, column: usize) -> Self {
        self.right.push(column);
        self
    }

    /// Adds a row; missing cells are empty.
    pub fn row<T: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Leaves out the first of these columns, then the next, as long as the lines are wider than this.
    pub fn fit(mut self, columns: usize, spare: &[&str]) -> Self {
        for name in spare {
            let widths = self.widths();
            let line: usize = widths.iter().map(|width| width + 2).sum();
            if line <= columns + 2 {
                break;
            }
            if let Some(at) = self.header.iter().position(|header| header == name) {
                self.remove(at);
            }
        }
        self
    }

    /// Leaves out a column.
    pub fn without(mut self, name: &str) -> Self {
        if let Some(at) = self.header.iter().position(|header| header == name) {
            self.remove(at);
        }
        self
    }

    fn remove(&mut self, at: usize) {
        self.header.remove(at);
        for row in self.rows.iter_mut().filter(|row| row.len() > at) {
            row.remove(at);
        }
        self.right.retain(|column| *column != at);
        for column in self.right.iter_mut().filter(|column| **column > at) {
            *column -= 1;
        }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|text| text.width()).collect();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        widths
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, cells: &[Cell], widths: &[usize]) -> fmt::Result {
        let last = cells.iter().rposition(|cell| !cell.text.is_empty());
        let shown = last.map_or(0, |last| last + 1);
        for (column, cell) in cells.iter().take(shown).enumerate() {
            let pad = " ".repeat(widths[column].saturating_sub(cell.text.width()));
            let text = super::progress::styled(cell.style, &cell.text);
            match self.right.contains(&column) {
                true => write!(f, "{pad}{text}")?,
                false if column + 1 == shown => f.write_str(&text)?,
                false => write!(f, "{text}{pad}")?,
            }
            if column + 1 < shown {
                f.write_str("  ")?;
            }
        }
        writeln!(f)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let bold = |text: &String| Cell::styled(text, STRONG);
        let header: Vec<_> = self.header.iter().map(bold).collect();
        self.line(f, &header, &widths)?;
        self.rows
            .iter()
            .try_for_each(|row| self.line(f, row, &widths))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_in_the_order_given() {
        let mut table = Table::new(["STEP", "URL", "IMAGE", "AGE"]).right(3);
        table.row(["app.hello", "http://127.0.0.1:8080", "hello:1", "12m"]);
        table.row(["postgres.db"]);
        let shown = |columns| {
            let table = table.clone().fit(columns, &["IMAGE", "URL"]).to_string();
            anstream::adapter::strip_str(&table).to_string()
        };
        expect![[r#"
            STEP         URL                    IMAGE    AGE
            app.hello    http://127.0.0.1:8080  hello:1  12m
            postgres.db
        "#]]
        .assert_eq(&shown(48));
        expect![[r#"
            STEP         URL                    AGE
            app.hello    http://127.0.0.1:8080  12m
            postgres.db
        "#]]
        .assert_eq(&shown(47));
        expect![[r#"
            STEP         AGE
            app.hello    12m
            postgres.db
        "#]]
        .assert_eq(&shown(10));
    }

    #[test]
    fn columns_line_up_whatever_the_letters() {
        let mut table = Table::new(["STEP", "AGE", "STATE"]).right(1);
        table.row(["postgres.db", "3m", "running"]);
        table.row(["app.日本語", "12h", ""]);
        let red = Style::new().fg_color(Some(anstyle::AnsiColor::Red.into()));
        table.row([
            Cell::from("app.x"),
            Cell::from(""),
            Cell::styled("exited\nwith 1", red),
        ]);
        table.row(["short"]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        expect![[r#"
            STEP         AGE  STATE
            postgres.db   3m  running
            app.日本語   12h
            app.x             exited with 1
            short
        "#]]
        .assert_eq(&text);
    }
}
