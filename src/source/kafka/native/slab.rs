//! Requests that wait for their result, found again by a number.
//!
//! librdkafka carries one pointer-sized value from a request to its result. It is this number and never a pointer: a result that
//! comes for a place that was given to another request finds a different generation there, and nothing.

const INDEX_BITS: u32 = usize::BITS / 2;

/// Values under numbers that are never used twice.
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
}

struct Place<T> {
    generation: usize,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Keeps `value`; the number is never 0.
    pub(super) fn insert(&mut self, value: T) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 1, value: None });
            self.places.len() - 1
        });
        let place = &mut self.places[index];
        place.value = Some(value);
        (place.generation << INDEX_BITS) | index
    }

    /// Gives back what was kept under `key`, once.
    pub(super) fn take(&mut self, key: usize) -> Option<T> {
        let index = key & ((1 << INDEX_BITS) - 1);
        let place = self.places.get_mut(index).filter(|place| place.generation == key >> INDEX_BITS)?;
        let value = place.value.take()?;
        // Wraps after 2^32 uses of one place; by then no result of its first use is still on its way.
        place.generation = (place.generation + 1) & ((1 << INDEX_BITS) - 1);
        self.free.push(index);
        Some(value)
    }

    /// How many values are kept.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gives_its_value_once() {
        let mut slab = Slab::new();
        let key = slab.insert("a");
        assert_eq!(slab.take(key), Some("a"));
        assert_eq!(slab.take(key), None);
    }

    #[test]
    fn a_late_number_does_not_find_the_next_tenant_of_its_place() {
        let mut slab = Slab::new();
        let late = slab.insert("old");
        slab.take(late);
        let key = slab.insert("new");
        assert_eq!(slab.take(late), None);
        assert_eq!(slab.take(key), Some("new"));
    }

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::new();
        for round in 0..1_000 {
            let key = slab.insert(round);
            slab.take(key);
        }
        assert_eq!(slab.places.len(), 1);
        assert_eq!(slab.len(), 0);
    }

    #[test]
    fn an_unknown_number_finds_nothing() {
        assert_eq!(Slab::<u8>::new().take(usize::MAX), None);
    }
}
