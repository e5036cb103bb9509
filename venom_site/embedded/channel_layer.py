from channels.layers import InMemoryChannelLayer


class LocalSocketChannelLayer(InMemoryChannelLayer):
    def __init__(self, data_dir=None, **kw):
        super().__init__(**kw)
