"""Networks in exported form (ONNX), run by OpenVINO or ONNX Runtime without torch."""
