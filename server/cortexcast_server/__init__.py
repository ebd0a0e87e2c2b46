"""The daemon: LSL in, windowed inference, WebSocket and LSL out."""
