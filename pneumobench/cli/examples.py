"""Command lines as people type them, shown by `--help`; a test parses each."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        "pneumobench run",
        "pneumobench run kermany --data DATA --architectures resnet18,densenet121",
        "pneumobench run smoke --name short --training.epochs 1 --seed 3",
        "pneumobench run kermany-two-networks --data DATA --regions whole,fixed_region_removed,mask_only",
        "pneumobench run smoke --name noise --seeds 1,2,3",
        "pneumobench run smoke --name curve --subsets 8,12,all",
        "pneumobench run smoke --name watched --vary training.monitor=tune_loss,tune_auc",
        "pneumobench run kermany --data DATA --executor slurm --slurm partition=gpu --slurm gpus_per_node=1",
    ),
    "leaderboard": ("pneumobench leaderboard runs/quickstart", "pneumobench leaderboard runs/quickstart --json"),
    "compare": (
        "pneumobench compare runs/mine runs/mine-focal",
        "pneumobench compare runs/a runs/b --to runs/ab",
    ),
    "wandb": ("pneumobench wandb runs/quickstart --offline", "pneumobench wandb runs/quickstart --project lungs"),
    "publish": ("pneumobench publish runs/quickstart", "pneumobench publish runs/quickstart --to PLACE --replace"),
    "figures": ("pneumobench figures runs/quickstart", "pneumobench figures leaderboard/kermany-cpu --to PLACE"),
    "submit": ("pneumobench submit runs/quickstart --to quickstart.zip",),
    "verify": (
        "pneumobench verify leaderboard/kermany-cpu",
        "pneumobench verify quickstart.zip --to PLACE",
    ),
    "tune": ("pneumobench tune search-demo", "pneumobench tune search-demo --search.trials 50 --name longer"),
    "audit": ("pneumobench audit DATA", "pneumobench audit DATA/index.csv --output report.json"),
    "datasets": ("pneumobench datasets", "pneumobench datasets kermany"),
    "download": ("pneumobench download kermany --to DATA",),
    "suite": ("pneumobench suite", "pneumobench suite quickstart > mine.yaml"),
    "architectures": ("pneumobench architectures 'convnext*'",),
    "check": ("pneumobench check resnet18", "pneumobench check film_net --plugin benchmark/plugins/film_net.py"),
    "conformance": ("pneumobench conformance --architectures resnet --methods gradcam,occlusion",),
    "cost": ("pneumobench cost quickstart", "pneumobench cost runs/quickstart --rounds 10"),
    "explain": (
        "pneumobench explain runs/quickstart --methods gradcam,occlusion",
        "pneumobench explain runs/quickstart --image IMAGE",
    ),
    "gallery": ("pneumobench gallery runs/quickstart --methods gradcam,integrated_gradients",),
    "evaluate": (
        "pneumobench evaluate runs/quickstart --data TABLE --name other",
        "pneumobench evaluate runs/quickstart --data TABLE --variants histogram_matched,lung_crop",
    ),
    "bundle": (
        "pneumobench bundle runs/quickstart --to quickstart-best",
        "pneumobench bundle runs/quickstart --architecture ensemble-mean --to ensemble.zip",
    ),
    "export": (
        "pneumobench export quickstart-best --onnx --to quickstart-onnx --data DATA",
        "pneumobench export quickstart-best --onnx --to small.zip --precision int8",
    ),
    "predict": (
        "pneumobench predict quickstart-best IMAGE FOLDER",
        "pneumobench predict quickstart-best TABLE --to answers.csv --heat-maps maps",
        "pneumobench predict quickstart-best IMAGE --dicom results",
    ),
    "receive": (
        "pneumobench receive quickstart-best --to localhost:4242 --called ORTHANC --queue queue",
        "pneumobench receive quickstart-best --to pacs.local:104 --called PACS --queue queue --results report,picture",
    ),
    "serve": (
        "pneumobench serve quickstart-best",
        "pneumobench serve quickstart-best --host 0.0.0.0 --token-file TOKEN --name films.example.org",
    ),
    "confounds": (
        "pneumobench confounds runs/quickstart",
        "pneumobench confounds leaderboard/kermany-cpu --data DATA --caliper 0.2",
    ),
    "labels": ("pneumobench labels runs/quickstart --gallery", "pneumobench labels leaderboard/kermany-cpu"),
    "reader-study": (
        "pneumobench reader-study runs/quickstart --images 12",
        "pneumobench reader-study runs/mine --errors 0.3 --seed 1 --to PLACE",
    ),
    "reader-results": ("pneumobench reader-results runs/quickstart/reader-study ANSWERS.csv MORE.csv",),
    "claims": ("pneumobench claims benchmark/papers/a-densenet-efficientnet.yaml",),
    "papers": ("pneumobench papers benchmark/papers/a-densenet-efficientnet.yaml --data DATA",),
    "help": ("pneumobench help training.ema_decay", "pneumobench help training", "pneumobench help run"),
    "completion": ('eval "$(pneumobench completion bash)"',),
}
