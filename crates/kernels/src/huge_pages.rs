//! An allocator that asks the kernel for huge pages, for arrays large enough to have some.
//!
//! A step touches hundreds of megabytes that it has just allocated: with pages of 4 KiB it takes a fault for each and a
//! miss of the translation cache for most. Where there are no huge pages (not Linux, or switched off) it is the system's
//! allocator; no result depends on it.

use std::alloc::{GlobalAlloc, Layout, System};

/// A huge page, in bytes.
const HUGE: usize = 1 << 21;

/// The system's allocator, but blocks of four huge pages or more are maps of their own.
pub struct HugePages;

fn is_large(layout: Layout) -> bool {
    cfg!(target_os = "linux") && layout.size() >= 4 * HUGE && layout.align() <= HUGE
}

/// Zeros that begin at a huge page; null where there is no memory.
#[cfg(target_os = "linux")]
fn map(size: usize) -> *mut u8 {
    let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let size = size.next_multiple_of(PAGE);
    // SAFETY: a new map at no given place, of which all but `size` bytes from the first huge page on are given back. That
    // advice is refused does no harm.
    unsafe {
        let all = libc::mmap(std::ptr::null_mut(), size + HUGE, read_write, private, -1, 0);
        if all == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        let before = all.align_offset(HUGE);
        let block = all.byte_add(before);
        if before > 0 {
            libc::munmap(all, before);
        }
        libc::munmap(block.byte_add(size), HUGE - before);
        libc::madvise(block, size, libc::MADV_HUGEPAGE);
        block.cast()
    }
}

/// A multiple of every processor's small page.
#[cfg(target_os = "linux")]
const PAGE: usize = 1 << 16;

// SAFETY: which blocks are maps depends on the layout alone, so every block goes back to where it came from. A map begins
// at a huge page, which is what `is_large` allows for as an alignment, and is zero.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        #[cfg(target_os = "linux")]
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        #[cfg(target_os = "linux")]
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        #[cfg(target_os = "linux")]
        if is_large(layout) {
            // SAFETY: `map` made it of this size.
            unsafe { libc::munmap(block.cast(), layout.size().next_multiple_of(PAGE)) };
            return;
        }
        // SAFETY: the block is the system's, by this layout.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller vouches that `size` and the alignment make a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if !is_large(layout) && !is_large(new) {
            // SAFETY: the block is the system's, by this layout.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: both blocks have at least the smaller size; the old one is not used again.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grows through the limit and shrinks back: what was written stays, what is asked to be zero is.
    #[test]
    fn blocks_keep_their_bytes_across_the_limit() {
        let layout = |size: usize| Layout::from_size_align(size, 64).expect("a layout");
        // SAFETY: every block is used within its size and freed by its layout.
        unsafe {
            let sizes = [100, 4 * HUGE - 1, 4 * HUGE, 9 * HUGE + 5, 70];
            let mut block = HugePages.alloc_zeroed(layout(sizes[0]));
            block.write(7);
            for pair in sizes.windows(2) {
                block = HugePages.realloc(block, layout(pair[0]), pair[1]);
                assert_eq!(block.read(), 7);
                assert_eq!(block as usize % 64, 0);
            }
            HugePages.dealloc(block, layout(70));
            let zeros = HugePages.alloc_zeroed(layout(5 * HUGE + 3));
            assert!((0..5 * HUGE + 3).step_by(4095).all(|i| zeros.add(i).read() == 0));
            HugePages.dealloc(zeros, layout(5 * HUGE + 3));
        }
    }
}
