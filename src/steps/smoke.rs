//! `smoke.*`: requests to what runs, each answered as expected.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ureq::http;

use super::{
    Cx,
    address::{self, Viewpoint},
    cancelled,
};
use crate::{
    config::{Request, Smoke, Template},
    event::{Fault, count},
    plan::{Acted, Action, Output, Reason, Verdict},
    runtime::Runtime,
};

/// Bytes of a body that are read, and characters that are shown of one.
const LONGEST_BODY: u64 = 1 << 20;
const SHOWN: usize = 2_000;

pub(super) fn decide() -> Verdict {
    let what = "what runs is asked every time".into();
    Verdict::act(Action::Run, vec![Reason::Pending { what }])
}

pub(super) async fn act(cx: &Cx<'_>) -> Result<Acted, Fault> {
    let smoke = table(cx);
    let secrets = cx.template_secrets(smoke.templates()).await?;
    let viewpoint = Viewpoint::Host {
        host: cx.steps.runtime()?.host(),
        outputs: cx.outputs,
    };
    let text = |template: &Template| address::resolve(template, cx.config(), &viewpoint, &secrets);
    let base = text(&smoke.url)?;
    for (index, request) in smoke.requests.iter().enumerate() {
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| Ok((name.clone(), text(value)?)));
        let asked = Asked {
            method: request.method.clone(),
            url: format!("{}{}", base.trim_end_matches('/'), request.path),
            headers: headers.collect::<Result<_, Fault>>()?,
            body: request.body.as_ref().map(text).transpose()?,
            timeout: request.timeout,
        };
        let (shown, full) = (
            format!("{} {}", request.method, request.path),
            format!("{} {}", request.method, asked.url),
        );
        let started = Instant::now();
        let answer = tokio::select! {
            answer = tokio::task::spawn_blocking(move || asked.send()) => answer,
            () = cx.cancel.cancelled() => return Err(cancelled(cx)),
        };
        let answer = answer.unwrap_or_else(|ended| Err(ended.to_string()));
        let judged = answer.and_then(|answer| {
            let took = started.elapsed().as_millis();
            cx.events
                .log(format!("{shown}: {} in {took} ms", answer.status));
            answer.judge(request)
        });
        if let Err(why) = judged {
            let fault = Fault::new(format!("`{full}` was not answered as expected"))
                .at_key(cx.key("requests").join(index.to_string()))
                .note(why);
            return Err(cx.with_logs_of(fault, &cx.step.needs).await);
        }
    }
    Ok(Acted {
        output: Output::default(),
        summary: format!("{} answered", count(smoke.requests.len(), "request")),
    })
}

/// A request, all of it known.
struct Asked {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    timeout: Duration,
}

struct Answer {
    status: u16,
    body: String,
}

impl Asked {
    /// # Errors
    /// Why there is no answer.
    fn send(self) -> Result<Answer, String> {
        let config = ureq::Agent::config_builder()
            .user_agent(concat!("devenv/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(self.timeout))
            // What is expected is said of this very answer.
            .max_redirects(0)
            .http_status_as_error(false)
            .allow_non_standard_methods(true);
        let agent = config.build().new_agent();
        let mut request = http::Request::builder()
            .method(self.method.as_str())
            .uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let wrong = |error: http::Error| format!("it cannot be sent to `{}`: {error}", self.url);
        let sent = match self.body {
            Some(body) => agent.run(request.body(body).map_err(wrong)?),
            None => agent.run(request.body(()).map_err(wrong)?),
        };
        let mut answer = sent.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(LONGEST_BODY);
        Ok(Answer {
            status,
            body: body
                .lossy_utf8(true)
                .read_to_string()
                .map_err(|error| format!("its body cannot be read: {error}"))?,
        })
    }
}

impl Answer {
    /// # Errors
    /// What is not as expected.
    fn judge(&self, request: &Request) -> Result<(), String> {
        let is_expected = match request.status {
            Some(status) => self.status == status,
            None => (200..300).contains(&self.status),
        };
        if !is_expected {
            let wanted = request
                .status
                .map_or("2xx".to_owned(), |status| status.to_string());
            return Err(format!(
                "expected status {wanted}, got {}{}",
                self.status,
                self.shown()
            ));
        }
        match &request.contains {
            Some(text) if !self.body.contains(text) => {
                Err(format!("its body does not hold `{text}`{}", self.shown()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The start of the body, to be put after a sentence.
    fn shown(&self) -> String {
        match self.body.trim() {
            "" => "; its body is empty".to_owned(),
            body => format!(
                "; its body:\n{}",
                body.chars().take(SHOWN).collect::<String>()
            ),
        }
    }
}

fn table<'a>(cx: &'a Cx<'_>) -> &'a Smoke {
    cx.config()
        .smoke
        .get(&cx.id().name)
        .expect("the plan has only smoke tables of the file")
}
