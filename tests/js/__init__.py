"""The JavaScript SDK as an independent client of ``holdfast serve`` (``make js-client``)."""
