//! All integration tests, one binary: links once, shares the built images.

mod architecture;
mod cli;
mod flow;
mod image;
mod prepush;
mod runtime;
mod support;
