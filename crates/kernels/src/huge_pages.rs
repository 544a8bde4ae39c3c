//! An allocator that asks the kernel for huge pages, for arrays large enough to have some.
//!
//! A step touches hundreds of megabytes that it has just allocated: with pages of 4 KiB it takes a fault for each and a
//! miss of the translation cache for most. Where there are no huge pages (not Linux, or switched off) it is the system's
//! allocator; no result depends on it.

use std::alloc::{GlobalAlloc, Layout, System};

/// A huge page, in bytes.
const HUGE: usize = 1 << 21;

/// The system's allocator, with huge pages for blocks of four of them or more.
pub struct HugePages;

fn is_large(layout: Layout) -> bool {
    cfg!(target_os = "linux") && layout.size() >= 4 * HUGE && layout.align() <= HUGE
}

/// The layout that is asked of the system: a large block starts at a huge page.
fn aligned(layout: Layout) -> Layout {
    if is_large(layout) { layout.align_to(HUGE).unwrap_or(layout) } else { layout }
}

// SAFETY: every block comes from `System` and goes back to it with the layout it was asked for, because `aligned` depends
// on the layout alone.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is that of `System`.
        let block = unsafe { System.alloc(aligned(layout)) };
        #[cfg(target_os = "linux")]
        if is_large(layout) && !block.is_null() {
            // SAFETY: advice on a block of our own, of which it changes no byte; that it is refused does no harm.
            unsafe { libc::madvise(block.cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_large(layout) {
            // SAFETY: the caller's contract is that of `System`.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's contract; a block that was given has layout.size() writable bytes.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block was allocated with this layout.
        unsafe { System.dealloc(block, aligned(layout)) };
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
