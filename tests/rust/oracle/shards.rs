//! Documents -> shards, with all of them in memory.

/// A shard, and its index: where documents begin, and where the last one ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shard {
    pub ids: Vec<u16>,
    pub index: Vec<u64>,
    pub continues: bool,
}

/// Puts whole documents into shards of at most `limit` ids; one that is longer begins a shard and is cut.
pub fn shards(documents: &[Vec<u16>], limit: usize) -> Vec<Shard> {
    let new = |continues| Shard { ids: Vec::new(), index: vec![0], continues };
    let mut shards = vec![new(false)];
    for document in documents {
        let mut rest = &document[..];
        let last = shards.last().unwrap();
        if !last.ids.is_empty() && last.ids.len() + rest.len() > limit {
            shards.push(new(false));
        }
        loop {
            let last = shards.last_mut().unwrap();
            let (now, later) = rest.split_at(rest.len().min(limit - last.ids.len()));
            last.ids.extend(now);
            last.index.push(last.ids.len() as u64);
            if later.is_empty() {
                break;
            }
            shards.push(new(true));
            rest = later;
        }
    }
    shards
}
