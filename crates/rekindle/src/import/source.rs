//! Opens what is imported: files or stdin, gzipped or not, never more than the caps allow.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

/// The first bytes of every gzip file (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Room of every buffer, in bytes.
const BUFFER: usize = 64 * 1024;

/// How much a gzipped file may become.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    /// Bytes out for every byte in.
    pub ratio: u64,
    /// Bytes out below which the ratio does not matter.
    pub free: u64,
    /// Bytes out at all.
    pub total: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self { ratio: 100, free: 1024 * 1024, total: 256 * 1024 * 1024 * 1024 }
    }
}

/// Opens a file, or stdin for `-`. Bytes read from it, before unpacking, are added to `counter`.
pub fn open(path: &Path, counter: &Arc<AtomicU64>, caps: Caps) -> io::Result<Box<dyn BufRead + Send>> {
    if path == Path::new("-") {
        unpack(io::stdin(), counter, caps)
    } else {
        unpack(File::open(path)?, counter, caps)
    }
}

/// Reads plain or gzipped bytes, told apart by how they begin.
pub fn unpack(
    raw: impl Read + Send + 'static,
    counter: &Arc<AtomicU64>,
    caps: Caps,
) -> io::Result<Box<dyn BufRead + Send>> {
    let mut counted = Counted { inner: raw, own: Arc::default(), shared: Arc::clone(counter) };
    let own = Arc::clone(&counted.own);
    let mut head = Vec::with_capacity(2);
    counted.by_ref().take(2).read_to_end(&mut head)?;
    let is_gzip = head == GZIP_MAGIC;
    let whole: Chain<_, _> = Cursor::new(head).chain(counted);
    let buffered = BufReader::with_capacity(BUFFER, whole);
    if !is_gzip {
        return Ok(Box::new(buffered));
    }
    let capped = Capped { inner: MultiGzDecoder::new(buffered), packed: own, unpacked: 0, caps };
    Ok(Box::new(BufReader::with_capacity(BUFFER, capped)))
}

/// Counts the bytes that pass, for itself and for all files together.
struct Counted<R> {
    inner: R,
    own: Arc<AtomicU64>,
    shared: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.own.fetch_add(read as u64, Ordering::Relaxed);
        self.shared.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Stops when more comes out than went in can explain.
struct Capped<R> {
    inner: R,
    packed: Arc<AtomicU64>,
    unpacked: u64,
    caps: Caps,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unpacked += read as u64;
        let packed = self.packed.load(Ordering::Relaxed);
        let allowed = packed.saturating_mul(self.caps.ratio).max(self.caps.free);
        if self.unpacked > allowed.min(self.caps.total) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "unpacks to more than {} times its size, or to more than {} bytes",
                    self.caps.ratio, self.caps.total
                ),
            ));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    fn read(bytes: Vec<u8>, caps: Caps) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        unpack(Cursor::new(bytes), &Arc::default(), caps)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes_and_may_have_several_members() {
        let mut packed = gzip(b"one\n");
        packed.extend(gzip(b"two\n"));
        assert_eq!(read(packed, Caps::default()).expect("gzip"), b"one\ntwo\n");
        assert_eq!(read(b"plain".to_vec(), Caps::default()).expect("text"), b"plain");
        assert_eq!(read(b"x".to_vec(), Caps::default()).expect("text"), b"x");
        assert_eq!(read(Vec::new(), Caps::default()).expect("nothing"), b"");
    }

    #[test]
    fn a_file_that_grows_too_much_is_given_up() {
        let caps = Caps { ratio: 100, free: 1000, total: u64::MAX };
        let bomb = gzip(&vec![b'a'; 1_000_000]);
        let error = read(bomb.clone(), caps).expect_err("a bomb");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(bomb, Caps { ratio: 10_000, ..caps }).expect("allowed").len(), 1_000_000);
    }

    #[test]
    fn a_small_file_may_grow_and_a_large_one_has_an_end() {
        let caps = Caps { ratio: 2, free: 10_000, total: 20_000 };
        assert_eq!(read(gzip(&[b'a'; 5_000]), caps).expect("small").len(), 5_000);
        let noise: Vec<u8> = (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!(read(gzip(&noise), caps).is_err());
    }

    #[test]
    fn a_torn_gzip_file_is_an_error() {
        let mut packed = gzip(b"some text that is long enough to be torn");
        packed.truncate(packed.len() - 6);
        assert!(read(packed, Caps::default()).is_err());
    }

    #[test]
    fn packed_bytes_are_counted() {
        let packed = gzip(&[b'a'; 5_000]);
        let size = packed.len() as u64;
        let counter = Arc::default();
        let mut reader = unpack(Cursor::new(packed), &counter, Caps::default()).expect("gzip");
        io::copy(&mut reader, &mut io::sink()).expect("all of it");
        assert_eq!(counter.load(Ordering::Relaxed), size);
    }
}
