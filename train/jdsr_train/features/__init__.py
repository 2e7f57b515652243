"""Frozen ImageNet features for the perceptual and style terms (eq. 11 and 13)."""

from jdsr_train.features.extractor import FeatureExtractor
from jdsr_train.features.loading import VGG16, load_features
from jdsr_train.features.squeezenet import CAFFE_MEAN_BGR, SqueezeNetFeatures
from jdsr_train.features.vgg import Vgg16Features

__all__ = [
    "CAFFE_MEAN_BGR",
    "VGG16",
    "FeatureExtractor",
    "SqueezeNetFeatures",
    "Vgg16Features",
    "load_features",
]
