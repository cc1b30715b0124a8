"""The stack's typed configuration: strict, frozen, complete, and checked before any resource is made.

`load` is the one reader of Pulumi configuration. Everything else of the program gets plain, typed values from it.
"""

from config.catalogue import ServiceFacts, Surroundings, SystemFacts
from config.images import EngineImages, ImageInventory
from config.load import Given, load, parse
from config.model import AcmCertificate, CertificateFiles, CertificateIssuer, LocalCa, Scale
from config.places import LOCAL_CONTEXT, AwsPlatform, DockerPlatform, KubernetesPlatform
from config.report import ConfigError, Problem
from config.resolve import ServiceConfig, StackConfig, SystemConfig

__all__ = [
    "LOCAL_CONTEXT",
    "AcmCertificate",
    "AwsPlatform",
    "CertificateFiles",
    "CertificateIssuer",
    "ConfigError",
    "DockerPlatform",
    "EngineImages",
    "Given",
    "ImageInventory",
    "KubernetesPlatform",
    "LocalCa",
    "Problem",
    "Scale",
    "ServiceConfig",
    "ServiceFacts",
    "StackConfig",
    "Surroundings",
    "SystemConfig",
    "SystemFacts",
    "load",
    "parse",
]
