//! The platform's name as the lock and the keys write it.

/// Such as `linux-x86_64` or `macos-aarch64`.
pub fn current() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}
