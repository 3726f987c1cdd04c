"""A worked example of a plugin: a small network of one's own beside the timm models of a suite.

pneumobench check film_net --plugin benchmark/plugins/film_net.py
pneumobench run --plugin benchmark/plugins/film_net.py --architectures resnet18,film_net
"""

from torch import nn

from pneumobench import Architecture, HeatMapLayer, register_architecture


@register_architecture("film_net", source="worked example of the pneumobench repository")
def film_net(*, in_channels: int, width: int = 24) -> Architecture:
    """Return four convolutions of stride 2 with batch normalisation, average pooling and one logit."""
    blocks: list[nn.Module] = []
    channels = in_channels
    for stage in range(4):
        out_channels = width * 2**stage
        convolution = nn.Conv2d(channels, out_channels, kernel_size=3, stride=2, padding=1, bias=False)
        blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU()))
        channels = out_channels
    module = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1))
    layers = tuple(HeatMapLayer(name=str(stage)) for stage in range(len(blocks)))
    return Architecture(module=module, in_channels=in_channels, heatmap_layers=layers)
