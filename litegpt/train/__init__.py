"""The training core: torch, numpy and safetensors only; it reports through callbacks."""
