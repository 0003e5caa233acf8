//! The classifier: 64 pixels in, up to two hidden layers, a softmax over ten digits out.

use std::ops::Range;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::data::{CLASSES, Images, PIXELS};
use crate::hyperparameters::{Activation, Hidden};
use crate::matrix::{Shape, add_scaled};

/// A fully connected network and its weights.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// The layers from the pixels to the digits; the last one has no activation.
    layers: Vec<Layer>,
    /// What the units of all layers but the last do with their input.
    activation: Activation,
    /// All weights and biases, layer after layer, so that an optimizer and a checkpoint see one list of
    /// numbers.
    pub(crate) parameters: Vec<f32>,
}

/// One layer: its shape and where its numbers are among all parameters.
#[derive(Clone, Debug)]
struct Layer {
    /// Inputs and outputs.
    shape: Shape,
    /// The weights, `[inputs x outputs]`.
    weights: Range<usize>,
    /// The biases, `[outputs]`.
    biases: Range<usize>,
}

/// What a pass through the network leaves behind for the way back.
struct Pass {
    /// What went into each layer, `[rows x inputs]`, and at the end what came out of the last, `[rows x 10]`.
    values: Vec<Vec<f32>>,
    /// For each hidden layer, the slope of each unit's output along its input, `[rows x outputs]`.
    slopes: Vec<Vec<f32>>,
}

/// The loss of a batch and its slope.
#[derive(Debug)]
pub(crate) struct Gradient {
    /// Mean cross entropy in nats, without the penalty on large weights.
    pub(crate) loss: f32,
    /// The slope of the loss and the penalty together along each parameter.
    pub(crate) slope: Vec<f32>,
}

impl Network {
    /// A network with random weights; without `hidden` layers it is softmax regression.
    pub(crate) fn new(hidden: Option<&Hidden>, rng: &mut ChaCha8Rng) -> Self {
        let layers = lay_out(&sizes(hidden));
        let activation = hidden.map_or(Activation::Relu, |hidden| hidden.activation);
        let mut parameters = vec![0.0; layers.last().map_or(0, |layer| layer.biases.end)];
        for (number, layer) in layers.iter().enumerate() {
            let is_output = number + 1 == layers.len();
            let limit = initial_limit(layer.shape.inputs, activation, is_output);
            parameters[layer.weights.clone()].fill_with(|| rng.random_range(-limit..limit));
        }
        Self { layers, activation, parameters }
    }

    /// The loss of `batch` and its slope, with a penalty of `weight_decay` times half of the squared weights.
    ///
    /// `scale` gives the factor on the next hidden unit's output: always 1, or 0 for a unit that drops out.
    pub(crate) fn gradient(&self, batch: &Images, weight_decay: f32, scale: impl FnMut() -> f32) -> Gradient {
        let Pass { values, mut slopes } = self.forward(&batch.pixels, scale);
        let mut slope = vec![0.0; self.parameters.len()];
        let logits = values.last().expect("a pass ends with the logits");
        let (loss, mut deltas) = cross_entropy(logits, &batch.labels);
        for (layer, inputs) in self.layers.iter().zip(&values).rev() {
            self.add_layer_slope(layer, inputs, &deltas, &mut slope);
            add_scaled(
                &mut slope[layer.weights.clone()],
                weight_decay,
                &self.parameters[layer.weights.clone()],
            );
            if let Some(unit_slopes) = slopes.pop() {
                deltas = self.step_back(layer, &deltas, &unit_slopes);
            }
        }
        Gradient { loss, slope }
    }

    /// The share of `images` that are given a wrong digit, from 0 to 1.
    pub(crate) fn error(&self, images: &Images) -> f32 {
        let pixels = images.pixels.chunks(EVALUATION_ROWS * PIXELS);
        let labels = images.labels.chunks(EVALUATION_ROWS);
        let wrong: usize = pixels.zip(labels).map(|(pixels, labels)| self.count_wrong(pixels, labels)).sum();
        wrong as f32 / images.len() as f32
    }

    /// How many images, `pixels` `[rows x 64]`, are not given the digit of `labels` `[rows]`.
    fn count_wrong(&self, pixels: &[f32], labels: &[u8]) -> usize {
        let pass = self.forward(pixels, || 1.0);
        let logits = pass.values.last().expect("a pass ends with the logits");
        logits
            .chunks_exact(CLASSES)
            .zip(labels)
            .filter(|(logits, label)| largest(logits) != usize::from(**label))
            .count()
    }

    /// Takes `pixels`, `[rows x 64]`, through all layers.
    fn forward(&self, pixels: &[f32], mut scale: impl FnMut() -> f32) -> Pass {
        let mut pass = Pass { values: vec![pixels.to_vec()], slopes: Vec::new() };
        for (number, layer) in self.layers.iter().enumerate() {
            let mut outputs = self.layer_outputs(layer, &pass.values[number]);
            if number + 1 < self.layers.len() {
                pass.slopes.push(activate(self.activation, &mut outputs, &mut scale));
            }
            pass.values.push(outputs);
        }
        pass
    }

    /// `inputs w + b`, `[rows x outputs]`, for `inputs` `[rows x inputs]`.
    fn layer_outputs(&self, layer: &Layer, inputs: &[f32]) -> Vec<f32> {
        let rows = inputs.len() / layer.shape.inputs;
        let mut outputs = self.parameters[layer.biases.clone()].repeat(rows);
        let weights = &self.parameters[layer.weights.clone()];
        layer.shape.add_forward(inputs, weights, &mut outputs);
        outputs
    }

    /// Adds the slope along the weights and biases of `layer` to `slope`, given what went in, `[rows x
    /// inputs]`, and the slope along what came out, `deltas` `[rows x outputs]`.
    fn add_layer_slope(&self, layer: &Layer, inputs: &[f32], deltas: &[f32], slope: &mut [f32]) {
        debug_assert_eq!(slope.len(), self.parameters.len());
        layer.shape.add_weight_slope(inputs, deltas, &mut slope[layer.weights.clone()]);
        for row in deltas.chunks_exact(layer.shape.outputs) {
            add_scaled(&mut slope[layer.biases.clone()], 1.0, row);
        }
    }

    /// The slope along what went into the units before `layer`, from the slope along what comes out of
    /// `layer`.
    fn step_back(&self, layer: &Layer, deltas: &[f32], unit_slopes: &[f32]) -> Vec<f32> {
        let weights = &self.parameters[layer.weights.clone()];
        let mut before = layer.shape.input_slope(deltas, weights);
        for (delta, unit_slope) in before.iter_mut().zip(unit_slopes) {
            *delta *= unit_slope;
        }
        before
    }
}

/// How many numbers stand before, between and after the layers.
fn sizes(hidden: Option<&Hidden>) -> Vec<usize> {
    let mut sizes = vec![PIXELS];
    if let Some(hidden) = hidden {
        sizes.extend((0..hidden.layers).map(|_| usize::from(hidden.width)));
    }
    sizes.push(CLASSES);
    sizes
}

/// Layers between neighbouring `sizes`, with their places in the list of parameters.
fn lay_out(sizes: &[usize]) -> Vec<Layer> {
    let mut end = 0;
    sizes
        .windows(2)
        .map(|pair| {
            let shape = Shape { inputs: pair[0], outputs: pair[1] };
            let weights = end..end + shape.inputs * shape.outputs;
            let biases = weights.end..weights.end + shape.outputs;
            end = biases.end;
            Layer { shape, weights, biases }
        })
        .collect()
}

/// The initial weights are drawn evenly between minus and plus this, which keeps the spread of the values
/// from layer to layer: He's rule before a rectifier, `LeCun`'s elsewhere.
fn initial_limit(inputs: usize, activation: Activation, is_output: bool) -> f32 {
    let gain = if activation == Activation::Relu && !is_output { 6.0 } else { 3.0 };
    (gain / inputs as f32).sqrt()
}

/// Turns the inputs of hidden units into their outputs, in place, and returns the slopes of the outputs along
/// them.
fn activate(activation: Activation, values: &mut [f32], scale: &mut impl FnMut() -> f32) -> Vec<f32> {
    values
        .iter_mut()
        .map(|value| {
            let (output, slope) = match activation {
                Activation::Relu if *value > 0.0 => (*value, 1.0),
                Activation::Relu => (0.0, 0.0),
                Activation::Tanh => {
                    let output = tanh(*value);
                    (output, 1.0 - output * output)
                }
            };
            let factor = scale();
            *value = output * factor;
            slope * factor
        })
        .collect()
}

/// The hyperbolic tangent, to within a few times 1e-7. The standard library's keeps more digits near 0, but
/// takes three times as long.
fn tanh(value: f32) -> f32 {
    1.0 - 2.0 / ((2.0 * value).exp() + 1.0)
}

/// The mean cross entropy in nats of `logits`, `[rows x 10]`, and its slope along them.
fn cross_entropy(logits: &[f32], labels: &[u8]) -> (f32, Vec<f32>) {
    let share = 1.0 / labels.len() as f32;
    let mut deltas = logits.to_vec();
    let mut loss = 0.0;
    for (row, &label) in deltas.chunks_exact_mut(CLASSES).zip(labels) {
        let label = usize::from(label);
        loss += softmax(row, label) * share;
        row[label] -= 1.0;
        for delta in row {
            *delta *= share;
        }
    }
    (loss, deltas)
}

/// Turns the ten logits in `row` into probabilities and returns the cross entropy to `label` in nats.
fn softmax(row: &mut [f32], label: usize) -> f32 {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let margin = top - row[label];
    for value in row.iter_mut() {
        *value = (*value - top).exp();
    }
    let total: f32 = row.iter().sum();
    for value in row {
        *value /= total;
    }
    margin + total.ln()
}

/// The place of the largest value; the first one of several.
fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = place;
        }
    }
    best
}

/// Images that are classified together when only the answer is wanted: few enough to stay in the cache.
const EVALUATION_ROWS: usize = 64;

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Three random images.
    fn batch(rng: &mut ChaCha8Rng) -> Images {
        Images { pixels: (0..3 * PIXELS).map(|_| rng.random()).collect(), labels: vec![3, 0, 9] }
    }

    /// Every third hidden unit drops out.
    fn dropout() -> impl FnMut() -> f32 {
        let mut factors = [0.0, 1.5, 1.5].into_iter().cycle();
        move || factors.next().expect("a cycle has no end")
    }

    /// The loss of `batch` with the penalty on the weights.
    fn penalised_loss(network: &Network, batch: &Images, weight_decay: f32) -> f32 {
        let squares: f32 = network
            .layers
            .iter()
            .flat_map(|layer| &network.parameters[layer.weights.clone()])
            .map(|weight| weight * weight)
            .sum();
        network.gradient(batch, weight_decay, dropout()).loss + 0.5 * weight_decay * squares
    }

    /// Compares the gradient with finite differences along every seventh parameter.
    fn check_gradient(hidden: Option<&Hidden>) {
        const STEP: f32 = 2e-3;
        const WEIGHT_DECAY: f32 = 0.02;
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        let mut network = Network::new(hidden, rng);
        let batch = batch(rng);
        let gradient = network.gradient(&batch, WEIGHT_DECAY, dropout());
        for place in (0..network.parameters.len()).step_by(7) {
            let value = network.parameters[place];
            network.parameters[place] = value + STEP;
            let above = penalised_loss(&network, &batch, WEIGHT_DECAY);
            network.parameters[place] = value - STEP;
            let below = penalised_loss(&network, &batch, WEIGHT_DECAY);
            network.parameters[place] = value;
            let (found, wanted) = (gradient.slope[place], (above - below) / (2.0 * STEP));
            assert!(
                (found - wanted).abs() < 1e-3 + 0.01 * wanted.abs(),
                "parameter {place}: {found}, but finite differences give {wanted}"
            );
        }
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        check_gradient(None);
        for activation in [Activation::Relu, Activation::Tanh] {
            for layers in [1, 2] {
                check_gradient(Some(&Hidden { layers, width: 9, activation }));
            }
        }
    }

    #[test]
    fn tanh_agrees_with_the_standard_library() {
        for value in [-1000.0, -20.0, -1.5, -0.01, 0.0, 1e-6, 0.3, 4.0, 50.0_f32] {
            assert!((tanh(value) - value.tanh()).abs() < 5e-7, "{value}");
        }
    }

    #[test]
    fn an_untrained_network_is_about_as_good_as_guessing() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let batch = batch(rng);
        let network = Network::new(None, rng);
        let loss = network.gradient(&batch, 0.0, || 1.0).loss;
        assert!((1.0..5.0).contains(&loss), "{loss}");
    }
}
