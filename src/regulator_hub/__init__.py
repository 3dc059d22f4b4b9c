"""The regulator's hub: receives, keeps and shows what gateways journal; knows only the gateway's floors 0 to 2."""
