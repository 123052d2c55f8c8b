//! Searching for a byte, by `memchr`.
//!
//! Before its fastest search memchr asks once what the CPU can do. On a virtual machine, where each
//! such question leaves the machine, that takes as long as to search a megabyte. For a few short
//! records it is not asked.

#[cfg(not(target_arch = "x86_64"))]
use memchr::arch::all::memchr::One;
#[cfg(target_arch = "x86_64")]
use memchr::arch::x86_64::sse2::memchr::One;

/// Where `byte` first stands in `bytes`.
#[inline]
pub fn memchr(byte: u8, bytes: &[u8]) -> Option<usize> {
    match short(byte, bytes) {
        Some(one) => one.find(bytes),
        None => memchr::memchr(byte, bytes),
    }
}

/// Where `byte` last stands in `bytes`.
#[inline]
pub fn memrchr(byte: u8, bytes: &[u8]) -> Option<usize> {
    match short(byte, bytes) {
        Some(one) => one.rfind(bytes),
        None => memchr::memrchr(byte, bytes),
    }
}

/// How many times `byte` stands in `bytes`.
#[inline]
pub fn count(byte: u8, bytes: &[u8]) -> usize {
    match short(byte, bytes) {
        Some(one) => one.count(bytes),
        None => memchr::memchr_iter(byte, bytes).count(),
    }
}

/// Each place where `byte` stands in `bytes`.
pub fn memchr_iter(byte: u8, bytes: &[u8]) -> impl Iterator<Item = usize> {
    let one = short(byte, bytes);
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = &bytes[at..];
        let found = at
            + match one {
                Some(one) => one.find(left),
                None => memchr::memchr(byte, left),
            }?;
        at = found + 1;
        Some(found)
    })
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn short(byte: u8, bytes: &[u8]) -> Option<One> {
    if bytes.len() < 4096 {
        One::new(byte)
    } else {
        None
    }
}

/// Nowhere else does memchr ask.
#[cfg(not(target_arch = "x86_64"))]
fn short(_: u8, _: &[u8]) -> Option<One> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_found_in_few_bytes_and_in_many() {
        for length in [0, 1, 15, 16, 17, 100, 4095, 4096, 4097, 10_000] {
            for step in [1, 2, 7, 96, 1000, usize::MAX] {
                let byte = |at| {
                    if at % step == step.min(length) / 2 {
                        b'\n'
                    } else {
                        b'x'
                    }
                };
                let bytes: Vec<u8> = (0..length).map(byte).collect();
                let places: Vec<_> = (0..length).filter(|at| bytes[*at] == b'\n').collect();
                assert_eq!(memchr_iter(b'\n', &bytes).collect::<Vec<_>>(), places);
                assert_eq!(memchr(b'\n', &bytes), places.first().copied());
                assert_eq!(memrchr(b'\n', &bytes), places.last().copied());
                assert_eq!(count(b'\n', &bytes), places.len());
            }
        }
    }
}
