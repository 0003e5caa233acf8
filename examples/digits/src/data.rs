//! The images: 1797 handwritten digits of 8x8 pixels, compiled into the program, and their fixed split.

use anyhow::{Context, Result, ensure};

/// Images and the digits that they show.
#[derive(Debug, Default)]
pub(crate) struct Images {
    /// `[images x 64]`, row by row; from 0 (paper) to 1 (ink).
    pub(crate) pixels: Vec<f32>,
    /// `[images]`, each below 10.
    pub(crate) labels: Vec<u8>,
}

impl Images {
    /// How many images.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// A copy of the images numbered `rows`, in this order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let mut selected = Self::default();
        for &row in rows {
            selected.pixels.extend_from_slice(&self.pixels[row * PIXELS..][..PIXELS]);
            selected.labels.push(self.labels[row]);
        }
        selected
    }

    /// Each image, and after it four copies that are moved up, down, left and right by part of a pixel.
    ///
    /// The copies show a network that the exact place of a line does not matter, which is worth a third of
    /// its errors.
    fn with_moved_copies(&self) -> Self {
        let mut copies = Self::default();
        for (image, &label) in self.pixels.chunks_exact(PIXELS).zip(&self.labels) {
            for (down, right) in [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)] {
                copies.pixels.extend(moved(image, down, right));
                copies.labels.push(label);
            }
        }
        copies
    }

    /// Appends the image in `line` of the file.
    fn push_line(&mut self, line: &str) -> Result<()> {
        let (pixels, label) = line.rsplit_once(',').context("no comma")?;
        let label: u8 = label.parse().context("the label")?;
        ensure!(usize::from(label) < CLASSES, "the label is {label}");
        for pixel in pixels.split(',') {
            let ink: f32 = pixel.parse().context("a pixel")?;
            self.pixels.push(ink / INK);
        }
        self.labels.push(label);
        ensure!(self.pixels.len() == PIXELS * self.len(), "not {PIXELS} pixels");
        Ok(())
    }
}

/// All images, in the two parts that every trial uses.
#[derive(Debug)]
pub(crate) struct Digits {
    /// What the network learns from: 1197 images, and four moved copies of each.
    pub(crate) training: Images,
    /// What its error is measured on: 600 other images, as they are.
    pub(crate) validation: Images,
}

impl Digits {
    /// Reads the images and splits them, always in the same way.
    pub(crate) fn load() -> Result<Self> {
        let all = read(CSV)?;
        let (training, validation) = split(all.len());
        Ok(Self { training: all.select(&training).with_moved_copies(), validation: all.select(&validation) })
    }
}

/// Reads the lines of the file `csv`.
fn read(csv: &str) -> Result<Images> {
    let mut images = Images::default();
    for (number, line) in (1..).zip(csv.lines()) {
        images.push_line(line).with_context(|| format!("digits.csv, line {number}"))?;
    }
    Ok(images)
}

/// The rows of the training part and of the validation part, out of `rows`.
///
/// The order comes from a hash of the row number, so it depends on no seed and on no version of a library:
/// the errors of all trials are measured on the same images.
fn split(rows: usize) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by_key(|&row| hash(row as u64));
    let validation = order.split_off(TRAINING_IMAGES.min(rows));
    (order, validation)
}

/// The pixels of an 8x8 `image` that is moved `MOVE` pixels towards the neighbours that lie so many rows
/// `down` and columns `right`; beyond the edge is paper.
fn moved(image: &[f32], down: isize, right: isize) -> impl Iterator<Item = f32> {
    (0..PIXELS).map(move |place| {
        let incoming = neighbour(place, -down, -right).map_or(0.0, |place| image[place]);
        let share = if (down, right) == (0, 0) { 0.0 } else { MOVE };
        image[place] + share * (incoming - image[place])
    })
}

/// The place of the pixel so many rows `down` and columns `right` of `place`, if it is in the image.
fn neighbour(place: usize, down: isize, right: isize) -> Option<usize> {
    let row = (place / SIDE).checked_add_signed(down)?;
    let column = (place % SIDE).checked_add_signed(right)?;
    (row < SIDE && column < SIDE).then_some(row * SIDE + column)
}

/// A well-mixed number for each `value` (the finaliser of `SplitMix64`).
fn hash(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Pixels in a row or a column of an image.
const SIDE: usize = 8;

/// Pixels in an image.
pub(crate) const PIXELS: usize = SIDE * SIDE;

/// Different digits.
pub(crate) const CLASSES: usize = 10;

/// Images in the training part; all others are for validation.
const TRAINING_IMAGES: usize = 1197;

/// How far the copies are moved, in pixels. In a random search the best trials err least with 0.3 to 0.5,
/// and most trials are worse off with a whole pixel than with no copies at all.
const MOVE: f32 = 0.4;

/// The value of a pixel that is all ink.
const INK: f32 = 16.0;

/// The data as a file: a line is 64 pixels from 0 to 16, then the digit, separated by commas.
const CSV: &str = include_str!("../data/digits.csv");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_1797_images_of_ten_digits() {
        let images = read(CSV).expect("the embedded file is well formed");
        assert_eq!(images.len(), 1797);
        assert_eq!(images.pixels.len(), 1797 * PIXELS);
        assert!(images.pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        let mut counts = [0; CLASSES];
        for &label in &images.labels {
            counts[usize::from(label)] += 1;
        }
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }

    #[test]
    fn the_split_uses_each_image_once() {
        let (training, validation) = split(1797);
        assert_eq!((training.len(), validation.len()), (1197, 600));
        let mut all = [training, validation].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1797));
    }

    #[test]
    fn copies_move_ink_to_the_neighbour() {
        let mut image = [0.0; PIXELS];
        image[SIDE + 1] = 1.0;
        let below: Vec<f32> = moved(&image, 1, 0).collect();
        assert!((below[SIDE + 1] - (1.0 - MOVE)).abs() < 1e-6);
        assert!((below[2 * SIDE + 1] - MOVE).abs() < 1e-6);
        assert!((below.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(moved(&image, 0, 0).eq(image));
    }

    #[test]
    fn ink_that_leaves_the_image_is_gone() {
        let mut image = [0.0; PIXELS];
        image[SIDE - 1] = 1.0;
        let ink: f32 = moved(&image, 0, 1).sum();
        assert!((ink - (1.0 - MOVE)).abs() < 1e-6, "{ink}");
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = read("1,2,3\n").expect_err("two pixels are not 64");
        assert!(format!("{error:#}").contains("line 1"), "{error:#}");
    }
}
