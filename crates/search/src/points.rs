//! Configurations as points, for whoever looks at a search afterwards.

use gramwise_model::{Config, Space};
use gramwise_surrogate::Axis;

use crate::strategy::Encoding;

/// A space's configurations as the search's model sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    /// What each coordinate is.
    pub axes: Vec<Axis>,
    /// The hyperparameters that the first coordinates are of; what follows says whether conditional ones are active.
    pub names: Vec<String>,
    /// One row a configuration, one coordinate an axis.
    pub points: Vec<Vec<f64>>,
}

/// The points of configurations of a space.
pub fn points<'a>(space: &Space, configs: impl Iterator<Item = &'a Config>) -> Points {
    let encoding = Encoding::new(space, false);
    let searched = space.parameters().iter().filter(|parameter| parameter.distribution.is_searched());
    Points {
        axes: encoding.axes().to_vec(),
        names: searched.map(|parameter| parameter.name.clone()).collect(),
        points: configs.map(|config| encoding.encode(config)).collect(),
    }
}
