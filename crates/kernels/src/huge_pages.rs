//! An allocator that asks the kernel for huge pages, for arrays large enough to have some.
//!
//! A step touches hundreds of megabytes that it has just allocated: with pages of 4 KiB it takes a fault for each and a
//! miss of the translation cache for most. The next step wants the same blocks again, so some that were freed are kept:
//! else the kernel clears every page anew, a tenth of the time of a dense step. Where there are no huge pages (not Linux, or
//! switched off) it is the system's allocator; no result depends on it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A huge page, in bytes.
const HUGE: usize = 1 << 21;

/// Freed blocks that are kept at a time, and their bytes, at most.
const KEPT_BLOCKS: usize = 16;
const KEPT_BYTES: usize = 256 << 20;

/// The system's allocator, but blocks of four huge pages or more are maps of their own.
pub struct HugePages;

fn is_large(layout: Layout) -> bool {
    cfg!(target_os = "linux") && layout.size() >= 4 * HUGE && layout.align() <= HUGE
}

/// What a block of `size` bytes takes: rounded up by an eighth at most, so that blocks of about the same size replace each other.
fn room(size: usize) -> usize {
    size.next_multiple_of((size.next_power_of_two() / 16).max(HUGE))
}

/// Zeros that begin at a huge page; null where there is no memory. `room` is a multiple of [`HUGE`].
#[cfg(target_os = "linux")]
fn map(room: usize) -> *mut u8 {
    let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new map at no given place, of which all but `room` bytes from the first huge page on are given back. That
    // advice is refused does no harm.
    unsafe {
        let all = libc::mmap(std::ptr::null_mut(), room + HUGE, read_write, private, -1, 0);
        if all == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        let before = all.align_offset(HUGE);
        let block = all.byte_add(before);
        if before > 0 {
            libc::munmap(all, before);
        }
        libc::munmap(block.byte_add(room), HUGE - before);
        libc::madvise(block, room, libc::MADV_HUGEPAGE);
        block.cast()
    }
}

/// Freed blocks, oldest first: where each begins and its room.
struct Kept {
    blocks: [(usize, usize); KEPT_BLOCKS],
    count: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { blocks: [(0, 0); KEPT_BLOCKS], count: 0 });

/// Never poisoned: nothing below panics while it is held.
fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn remove(&mut self, i: usize) -> (usize, usize) {
        let block = self.blocks[i];
        self.blocks.copy_within(i + 1..self.count, i);
        self.count -= 1;
        block
    }

    /// The youngest block of this room; it holds what its last owner wrote.
    fn take(&mut self, room: usize) -> Option<*mut u8> {
        let found = self.blocks[..self.count].iter().rposition(|block| block.1 == room)?;
        Some(self.remove(found).0 as *mut u8)
    }

    /// Must the oldest go before a block of `room` is kept?
    fn is_full(&self, room: usize) -> bool {
        let bytes: usize = self.blocks[..self.count].iter().map(|block| block.1).sum();
        self.count == KEPT_BLOCKS || (self.count > 0 && bytes + room > KEPT_BYTES)
    }
}

/// Keeps a freed block that [`map`] made, in place of older ones, unless it is too large.
#[cfg(target_os = "linux")]
fn free(block: *mut u8, room: usize) {
    // SAFETY: every block here was made by `map` with this room, and nobody uses it any more.
    let unmap = |(block, room): (usize, usize)| unsafe { libc::munmap(block as *mut libc::c_void, room) };
    if room > KEPT_BYTES {
        unmap((block as usize, room));
        return;
    }
    let mut kept = kept();
    while kept.is_full(room) {
        unmap(kept.remove(0));
    }
    let count = kept.count;
    kept.blocks[count] = (block as usize, room);
    kept.count += 1;
}

// SAFETY: which blocks are maps, and of which room, depends on the layout alone, so every block goes back to where it came
// from. A map begins at a huge page, which is what `is_large` allows for as an alignment, and a new one is zero.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        #[cfg(target_os = "linux")]
        if is_large(layout) {
            let found = kept().take(room(layout.size()));
            return found.unwrap_or_else(|| map(room(layout.size())));
        }
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        #[cfg(target_os = "linux")]
        if is_large(layout) {
            let found = kept().take(room(layout.size()));
            // SAFETY: a block of this room has as many bytes.
            found.iter().for_each(|block| unsafe { block.write_bytes(0, layout.size()) });
            return found.unwrap_or_else(|| map(room(layout.size())));
        }
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        #[cfg(target_os = "linux")]
        if is_large(layout) {
            free(block, room(layout.size()));
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
            let used = HugePages.alloc(layout(5 * HUGE));
            used.write_bytes(1, 5 * HUGE);
            HugePages.dealloc(used, layout(5 * HUGE));
            let zeros = HugePages.alloc_zeroed(layout(5 * HUGE + 3));
            assert!((0..5 * HUGE + 3).step_by(4095).all(|i| zeros.add(i).read() == 0));
            HugePages.dealloc(zeros, layout(5 * HUGE + 3));
        }
    }

    #[test]
    fn blocks_take_an_eighth_more_at_most() {
        for size in [4 * HUGE, 4 * HUGE + 1, 33 * HUGE - 5, 1000 * HUGE + 7] {
            assert!(
                (size..=size + (size / 8).max(HUGE)).contains(&room(size)) && room(size).is_multiple_of(HUGE),
                "{size}"
            );
        }
    }

    /// What is kept stays below both limits, whatever is freed; the oldest goes first.
    #[test]
    fn few_freed_blocks_are_kept() {
        let mut kept = Kept { blocks: [(0, 0); KEPT_BLOCKS], count: 0 };
        for (i, room) in [40 << 20, 100 << 20, 8 << 20, 150 << 20].into_iter().enumerate() {
            while kept.is_full(room) {
                kept.remove(0);
            }
            kept.blocks[kept.count] = (i + 1, room);
            kept.count += 1;
        }
        assert_eq!(kept.blocks[..kept.count], [(3, 8 << 20), (4, 150 << 20)]);
        assert_eq!(kept.take(9 << 20), None);
        assert_eq!(kept.take(8 << 20).map(|block| block as usize), Some(3));
        assert_eq!(kept.blocks[..kept.count], [(4, 150 << 20)]);
    }
}
