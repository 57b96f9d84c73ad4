//! Memory that is needed soon is asked for now, so that several misses of the caches are waited for
//! together and not one after the other.

/// Asks for the cache line where an element begins. Nothing happens where there is no such element,
/// or where the processor cannot be asked.
#[inline(always)]
pub fn prefetch<T>(slice: &[T], index: usize) {
    if let Some(element) = slice.get(index) {
        let address = std::ptr::from_ref(element);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of every x86-64 processor; a prefetch reads nothing that could be seen.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a prefetch reads nothing that could be seen, and changes no register or flag.
        unsafe {
            std::arch::asm!(
                "prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly)
            );
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = address;
    }
}
