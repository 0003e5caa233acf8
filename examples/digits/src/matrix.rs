//! The three matrix products of a dense layer, as plain loops over rows that the compiler turns into vector
//! code.
//!
//! Matrices are slices, row by row. `x` is what goes into the layer, `[rows x inputs]`; `w` are its weights,
//! `[inputs x outputs]`; `d` is the slope of the loss along what comes out, `[rows x outputs]`.

/// The shape of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Numbers that go in for each image.
    pub(crate) inputs: usize,
    /// Numbers that come out for each image.
    pub(crate) outputs: usize,
}

impl Shape {
    /// `out += x w`, where `out` is `[rows x outputs]`.
    pub(crate) fn add_forward(self, x: &[f32], w: &[f32], out: &mut [f32]) {
        let rows = x.chunks_exact(self.inputs);
        for (x_row, out_row) in rows.zip(out.chunks_exact_mut(self.outputs)) {
            for (&factor, w_row) in x_row.iter().zip(w.chunks_exact(self.outputs)) {
                add_scaled(out_row, factor, w_row);
            }
        }
    }

    /// `out += xᵀ d`, where `out` is `[inputs x outputs]`: the slope of the loss along the weights.
    pub(crate) fn add_weight_slope(self, x: &[f32], d: &[f32], out: &mut [f32]) {
        let rows = x.chunks_exact(self.inputs);
        for (x_row, d_row) in rows.zip(d.chunks_exact(self.outputs)) {
            for (&factor, out_row) in x_row.iter().zip(out.chunks_exact_mut(self.outputs)) {
                add_scaled(out_row, factor, d_row);
            }
        }
    }

    /// `d wᵀ`, which is `[rows x inputs]`: the slope of the loss along what went in.
    pub(crate) fn input_slope(self, d: &[f32], w: &[f32]) -> Vec<f32> {
        d.chunks_exact(self.outputs)
            .flat_map(|d_row| w.chunks_exact(self.outputs).map(|w_row| dot(w_row, d_row)))
            .collect()
    }
}

/// `out += factor * row`, number by number.
pub(crate) fn add_scaled(out: &mut [f32], factor: f32, row: &[f32]) {
    for (sum, value) in out.iter_mut().zip(row) {
        *sum += factor * value;
    }
}

/// The sum of the products of two slices of one length.
///
/// Addition of floats is not associative, so the compiler may not reorder a plain sum into vector lanes: it
/// is spelled out here.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Partial sums of a dot product that are kept side by side, so that they fit the lanes of a vector register.
const LANES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { inputs: 2, outputs: 3 };
    const W: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    #[test]
    fn forward_adds_the_product() {
        let mut out = vec![100.0; 3];
        SHAPE.add_forward(&[1.0, 10.0], &W, &mut out);
        assert_eq!(out, [141.0, 152.0, 163.0]);
    }

    #[test]
    fn weight_slope_sums_over_rows() {
        let mut out = vec![0.0; 6];
        SHAPE.add_weight_slope(&[1.0, 10.0, 2.0, 0.0], &[1.0, 2.0, 3.0, 1.0, 1.0, 1.0], &mut out);
        assert_eq!(out, [3.0, 4.0, 5.0, 10.0, 20.0, 30.0]);
    }

    #[test]
    fn input_slope_is_the_transposed_product() {
        assert_eq!(SHAPE.input_slope(&[1.0, 0.0, 2.0], &W), [7.0, 16.0]);
    }

    #[test]
    fn dot_uses_every_number() {
        let ones = [1.0; 2 * LANES + 3];
        let numbers: Vec<f32> = (0..2 * LANES + 3).map(|number| number as f32).collect();
        assert!((dot(&ones, &numbers) - 171.0).abs() < 1e-6);
    }
}
