//! The system call of `bundle` that needs `unsafe`.

use rustix::mm::{Advice, madvise};

/// Asks for large pages behind the whole pages of `buffer`: a compressor jumps about in megabytes, and finding each
/// small page again costs it a tenth of its time.
pub(super) fn advise_large_pages(buffer: &mut [u8]) {
    let page = rustix::param::page_size();
    let skipped = buffer.as_ptr().align_offset(page);
    let Some(whole) = buffer.get_mut(skipped..).filter(|rest| rest.len() >= page) else { return };
    let length = whole.len() - whole.len() % page;
    // SAFETY: the range lies in `buffer`, which is borrowed for the call; this advice changes no byte.
    let advised = unsafe { madvise(whole.as_mut_ptr().cast(), length, Advice::LinuxHugepage) };
    // Linux may have none.
    advised.unwrap_or_default();
}
