__version__ = "0.1.0"

# Here, before onnxruntime can load on any road: without it, its wheels send usage data to Microsoft.
import os as _os
_os.environ['ORT_DISABLE_TELEMETRY'] = '1'
