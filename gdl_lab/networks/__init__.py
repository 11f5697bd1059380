"""The talk's networks: fully connected layers, convolutions, and the piecewise-linear geometry of ReLU."""

from gdl_lab.networks.charts import ChartCNN, ChartUNet, pad_chart
from gdl_lab.networks.convolutional import (
    ConvolutionalNetwork,
    GraphConvolution,
    constrained_weights,
    correlate,
    count_multiplications,
    influence,
    shift_equivariance_error,
    translate,
)
from gdl_lab.networks.depth import DeepNetwork, propagate_variance, tent
from gdl_lab.networks.fully_connected import FullyConnected, count_parameters, loss_and_gradients
from gdl_lab.networks.readers import ConvolutionalReader, MixerReader, Reader
from gdl_lab.networks.regions import Region, linear_regions

__all__ = [
    "ChartCNN",
    "ChartUNet",
    "ConvolutionalNetwork",
    "ConvolutionalReader",
    "DeepNetwork",
    "FullyConnected",
    "GraphConvolution",
    "MixerReader",
    "Reader",
    "Region",
    "constrained_weights",
    "correlate",
    "count_multiplications",
    "count_parameters",
    "influence",
    "linear_regions",
    "loss_and_gradients",
    "pad_chart",
    "propagate_variance",
    "shift_equivariance_error",
    "tent",
    "translate",
]
