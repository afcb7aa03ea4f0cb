//! Usernames, birthdays and the greeting. Pure: the day it is comes in as an argument.

use std::fmt;

use jiff::civil::Date;

const MAX_USERNAME: usize = 64;

/// Why a request cannot be served, in words for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("username must be 1 to {MAX_USERNAME} letters, a to z or A to Z")]
    Username,
    #[error("dateOfBirth must be a date that exists, written YYYY-MM-DD")]
    Date,
    #[error("dateOfBirth must be before today, {today} (UTC)")]
    NotPast { today: Date },
}

/// 1 to 64 ASCII letters. `ada` and `Ada` are two users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let letters = text.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !letters || text.is_empty() || text.len() > MAX_USERNAME {
            return Err(Invalid::Username);
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A day before today, when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateOfBirth(Date);

impl DateOfBirth {
    pub fn parse(text: &str, today: Date) -> Result<Self, Invalid> {
        let date = parse_date(text).ok_or(Invalid::Date)?;
        if date >= today {
            return Err(Invalid::NotPast { today });
        }
        Ok(Self(date))
    }

    /// A date that was checked before it was stored.
    pub fn stored(date: Date) -> Self {
        Self(date)
    }

    pub fn date(self) -> Date {
        self.0
    }

    /// Days until the next birthday; 0 on the day itself.
    ///
    /// Who was born on 29 February has the birthday on 1 March in years without that day: a year is over when its last day is.
    pub fn days_to_birthday(self, today: Date) -> i32 {
        let this_year = self.birthday_in(today.year());
        let next = if this_year >= today {
            this_year
        } else {
            self.birthday_in(today.year() + 1)
        };
        (next - today).get_days()
    }

    fn birthday_in(self, year: i16) -> Date {
        Date::new(year, self.0.month(), self.0.day())
            .unwrap_or_else(|_| jiff::civil::date(year, 3, 1))
    }
}

/// Exactly `YYYY-MM-DD`: jiff alone would also take `20000131` and dates with a time.
fn parse_date(text: &str) -> Option<Date> {
    let shape = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !shape || text.len() != 10 {
        return None;
    }
    // There is no year 0 in Postgres' calendar.
    text.parse().ok().filter(|date: &Date| date.year() > 0)
}

pub fn greeting(username: &Username, born: DateOfBirth, today: Date) -> String {
    match born.days_to_birthday(today) {
        0 => format!("Hello, {username}! Happy birthday!"),
        days => format!("Hello, {username}! Your birthday is in {days} day(s)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check_days(born: &str, today: &str, days: i32) {
        let found = DateOfBirth::stored(day(born)).days_to_birthday(day(today));
        assert_eq!(found, days, "born {born}, today {today}");
    }

    #[test]
    fn counts_days_to_the_birthday() {
        check_days("2000-01-31", "2026-01-31", 0);
        check_days("2000-01-31", "2026-01-30", 1);
        check_days("2000-01-31", "2026-01-26", 5);
        check_days("2000-01-31", "2026-02-01", 364);
    }

    #[test]
    fn counts_over_the_end_of_the_year() {
        check_days("2000-01-01", "2026-12-31", 1);
        check_days("2000-12-31", "2026-12-31", 0);
        check_days("2000-12-31", "2026-01-01", 364);
        check_days("1999-12-31", "2024-01-01", 365);
    }

    #[test]
    fn counts_over_the_leap_day() {
        check_days("2000-03-01", "2023-02-28", 1);
        check_days("2000-03-01", "2024-02-28", 2);
        check_days("2000-03-01", "2023-03-02", 365);
    }

    #[test]
    fn leap_day_birthdays_fall_on_the_first_of_march_in_common_years() {
        check_days("2000-02-29", "2024-02-29", 0);
        check_days("2000-02-29", "2024-02-28", 1);
        check_days("2000-02-29", "2024-03-01", 365);
        check_days("2000-02-29", "2023-02-28", 1);
        check_days("2000-02-29", "2023-03-01", 0);
        check_days("2000-02-29", "2023-03-02", 364);
        check_days("2000-02-29", "1900-02-28", 1);
    }

    #[test]
    fn greets() {
        let ada = Username::parse("ada").unwrap();
        let born = DateOfBirth::stored(day("2000-01-31"));
        assert_eq!(
            greeting(&ada, born, day("2026-01-26")),
            "Hello, ada! Your birthday is in 5 day(s)"
        );
        assert_eq!(
            greeting(&ada, born, day("2026-01-31")),
            "Hello, ada! Happy birthday!"
        );
    }

    #[test]
    fn usernames_are_letters_only() {
        for good in ["a", "Ada", &"x".repeat(64)] {
            assert_eq!(Username::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "ada1",
            "a b",
            "ada\n",
            "ä",
            "a-b",
            "ada/",
            &"x".repeat(65),
        ] {
            assert_eq!(Username::parse(bad), Err(Invalid::Username), "{bad:?}");
        }
    }

    #[test]
    fn dates_of_birth_are_in_the_past() {
        let today = day("2026-05-10");
        let born = DateOfBirth::parse("2026-05-09", today).unwrap();
        assert_eq!(born.date(), day("2026-05-09"));
        for late in ["2026-05-10", "2026-05-11", "9999-12-31"] {
            assert_eq!(
                DateOfBirth::parse(late, today),
                Err(Invalid::NotPast { today })
            );
        }
    }

    #[test]
    fn dates_are_written_one_way() {
        let today = day("2026-05-10");
        for bad in [
            "",
            "2000-1-31",
            "20000131",
            "2000-02-30",
            "2001-02-29",
            "2000-13-01",
            "2000-00-10",
            "0000-01-01",
            "31-01-2000",
            "2000-01-31T00:00",
            "+00200-01-31",
            "2000/01/31",
            "2000-01-3é",
        ] {
            assert_eq!(
                DateOfBirth::parse(bad, today),
                Err(Invalid::Date),
                "{bad:?}"
            );
        }
        assert!(DateOfBirth::parse("0001-01-01", today).is_ok());
    }
}
