//! Random numbers that are the same on every machine and in every build.

/// The generator known as `splitmix64`.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// About normally distributed, with a mean of 0 and a deviation of 1: four quarters of one draw, added.
    pub fn normal(&mut self) -> f64 {
        let drawn = self.next();
        let quarter = |shift: u32| u32::try_from(drawn >> shift & 0xffff).unwrap();
        let sum = quarter(0) + quarter(16) + quarter(32) + quarter(48);
        (f64::from(sum) / 65_536.0 - 2.0) * 3.0_f64.sqrt()
    }
}
