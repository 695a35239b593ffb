"""Names as the figures of papers have them: of series, categories and axes.

The evaluation's figures were not looked at for them. A row of LEGENDS or CATEGORIES holds names of one figure.
"""

from __future__ import annotations


def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    """Groups of names: a row each, its names apart by semicolons."""
    return tuple(tuple(name.strip() for name in row.split(";")) for row in text.strip().splitlines())


def _flat(text: str) -> tuple[str, ...]:
    return tuple(name for row in _rows(text) for name in row)


# Words of real legends. Figures of the evaluation's sets were not looked at for them.
LEGENDS = _rows("""
Baseline; Proposed; Oracle; Random; Greedy; Upper bound; Lower bound; Ablation; Ensemble; Distilled
train; test; val; train (EMA); test (EMA); val (no aug); holdout
SGD; Momentum; RMSProp; AdaGrad; Adam; AdamW; Lion; L-BFGS; Shampoo; Adafactor
ResNet-18; ResNet-50; VGG-16; DenseNet-121; ViT-S/16; ViT-L/14; ConvNeXt-T; EfficientNet-B0; Swin-B; MLP-Mixer
BERT-base; RoBERTa-large; T5-small; GPT-J-6B; OPT-13B; BLOOM-7B1; Falcon-40B; Mistral-7B-Inst; Phi-2; Gemma-2-9B-it
nginx; HAProxy; Envoy; Caddy; Traefik; Apache httpd; lighttpd; Varnish; Squid
RocksDB; LevelDB; SQLite; LMDB; PostgreSQL 14; MariaDB; DuckDB; ClickHouse; Redis 7; memcached
eager; compiled; compiled + fused; CUDA graphs; TensorRT; ONNX Runtime; OpenVINO INT8; reference
no cache, no batching; cache only; batching only; cache + batching; cache, 2 threads; cache, 8 threads
malloc: small; malloc: large; arena: small; arena: large; arena: large + huge pages; pool: mixed
read (4 KiB); write (4 KiB); read (1 MiB); write (1 MiB); mixed 70/30; fsync every 10 ms
Male; Female; Male, treated; Female, treated; Male, control; Female, control
Placebo; 5 mg; 10 mg; 25 mg; 50 mg; 100 mg; 200 mg; 400 mg
wild type; ΔrecA; ΔmutS; ΔrecA ΔmutS; pTet; pTet + IPTG; rescue; vector only
control siRNA; siRNA #1; siRNA #2; scrambled; mock; untransfected; overexpression
Berlin; Tokyo; New York; São Paulo; Lagos; Mumbai; Sydney; Mexico City; Nairobi; Oslo
Germany; France; Japan; Brazil; India; South Africa; United States; United Kingdom; Chile; Viet Nam
coal; oil; natural gas; nuclear; hydro; wind; solar; biomass; geothermal; other renewables
wheat; maize; rice; barley; soybean; potato; cassava; sugar cane; cotton; rye
DJF; MAM; JJA; SON; annual mean; 1961-1990; 1991-2020; RCP 4.5; RCP 8.5; SSP2-4.5
Monday; Tuesday; Wednesday; Thursday; Friday; Saturday; Sunday
setosa-like; hybrid A × B; parent A; parent B; F1 (A×B); F2; backcross
theory; simulation; experiment; fit; fit (95 % CI); residual; Monte Carlo; analytic; mean field
Exp. 1; Exp. 2; Exp. 3; Sim. 1; Sim. 2; Sim. 3; Ref. [12]; Ref. [27]; This work
TE0; TE1; TM0; TM1; core; cladding; air; substrate; vacuum
Fe; Co; Ni; Cu; Zn; Fe-Co; Fe-Ni; Cu(111); Ni(100); Al2O3; SiO2; TiO2
x-direction; y-direction; z-direction; |v|; radial; azimuthal; total
p50; p90; p95; p99; p99.9; max; mean
IPv4; IPv6; TCP; UDP; QUIC; HTTP/1.1; HTTP/2; HTTP/3
very low; low; medium; high; very high; extreme; none
18-24; 25-34; 35-44; 45-54; 55-64; 65+; under 18
strongly agree; agree; neutral; disagree; strongly disagree; no answer
CO2; CH4; N2O; H2O; O3; NOx; SO2; PM2.5; PM10; NH3
HMM; CRF; LSTM; BiLSTM-CRF; GRU; TCN; Transformer; Mamba; RWKV; S4
K-means; DBSCAN; HDBSCAN; GMM; spectral; agglomerative; OPTICS; mean shift
lasso (a = 0.1); ridge (a = 1); elastic net; OLS; Huber; RANSAC; Theil-Sen
""")
NUMBERS = (
    ("1", "2", "4", "8", "16", "32", "64", "128"),
    ("3", "6", "9", "12", "18", "25", "40", "60", "80"),
    ("0.1", "0.2", "0.5", "1", "2", "5"),
    ("1960", "1970", "1980", "1990", "2000", "2010", "2020"),
    ("25", "35", "45", "70", "90", "150", "300"),
    ("1e-4", "1e-3", "1e-2", "1e-1"),
    ("0", "250", "500", "750", "1000"),
)
PARAMETERS = (
    "n = {}", "N={}", "k={}", "T = {} K", "{} nm", "{} mM", "{} K", "{}%", "{} °C", "L = {}", "p = 0.{}", "{} MPa",
    "B={} T", "d = {} m", "{} dB", "batch {}", "{} threads", "{} nodes", "depth {}", "{}x", "top-{}", "{} layers",
    "{}-shot",
)  # fmt: skip
CATEGORIES = _rows("""
64; 128; 256; 512; 1024; 2048; 4096; 8192; 16384; 32768
1; 2; 3; 4; 5; 6; 7; 8; 9; 10; 11; 12
Jan; Feb; Mar; Apr; May; Jun; Jul; Aug; Sep; Oct; Nov; Dec
2014; 2015; 2016; 2017; 2018; 2019; 2020; 2021; 2022; 2023; 2024
10; 20; 30; 40; 50; 60; 70; 80; 90
A; B; C; D; E; F; G; H; I; J
Q1; Q2; Q3; Q4
0-9; 10-19; 20-29; 30-39; 40-49; 50-59; 60-69; 70+
1K; 2K; 4K; 8K; 16K; 32K; 64K
Small (110M); Base (330M); Large (770M); XL (1.5B); XXL (3B)
""")
QUANTITIES = _flat("""
Accuracy (%); Top-1 accuracy (%); F1; BLEU; ROUGE-L; Pass@10 (%); Exact match (%); Word error rate (%); mIoU
PSNR (dB)
Loss; Training loss; Validation loss; Perplexity; Log likelihood; Reward; Return; Regret; KL divergence; Gradient norm
Throughput (req/s); Training throughput (samples/s); Bandwidth (GB/s); Speedup; Speedup over serial; Slowdown; IPC
Latency (ms); p99 latency (µs); Time per step (ms); Wall time (s); Build time (min); Cycles per element
Time to first byte (ms)
Memory (MiB); Peak memory (GB); Cache misses per 1k instr.; File size (kB); Compression ratio; Power (W)
Energy per op (pJ)
Temperature (°C); Mean temp (°F); Precipitation (mm); Wind speed (m/s); Pressure (hPa); Humidity (%); Sea level (mm)
Anomaly (K)
Current (mA); Drain current (µA); Voltage (V); Capacitance (pF); Resistance (kΩ); Conductance (S); Field (T)
Magnetization (emu/g)
Intensity (a.u.); Absorbance; Counts; Fluorescence (RFU); Transmittance (%); Optical density at 600 nm
Signal-to-noise ratio
Number of users; Population (millions); Births per 1,000; GDP per capita (USD); Share of total (%); Price; Price ($)
Sales; Count
Survival probability; Viability (%); Relative expression; Fold change; Cell count; Tumor volume (mm3)
Weight gain (g); Titer (log10)
Displacement (mm); Stress (MPa); Force (N); Velocity (m/s); Drag coefficient; Lift coefficient; Reynolds stress
Friction factor
Frequency (%); Density; Probability; Cumulative share; Fraction of cells; Sum of yield; Mean of score; Average rating
""")
PLACES = _flat("""
Epoch; Step; Iteration; Training steps (k); Tokens (B); Number of parameters (M); Batch size; Learning rate; Depth
Width
Threads; Number of cores; Nodes; Clients; Message size (B); Offered load (kreq/s); Context length; Input length
Key size
Time (s); Time (h); Time (days); Days since infection; Hour of day; Year; Month; Date; Generation; Age (years); Week
Distance (km); Depth (m); Height (cm); Radius (nm); Position (mm); x; x (m); z/H; r/R; Latitude
Wavelength (nm); Wavenumber (cm-1); Energy (eV); Frequency (Hz); Angle (°); 2θ (°); q; Field (T); Gate voltage (V)
Bias (V)
Temperature (K); Concentration (µM); Dose (mg/kg); pH; Pressure (bar); Flow rate (mL/min); Strain (%); Load (kN)
Recall; False positive rate; Threshold; Percentile; Rank; Share of data (%); k; n; Sample size; Number of clusters
""")
BESIDE_BARS = (
    "Method",
    "Model",
    "Task",
    "Dataset",
    "Country",
    "Age group",
    "Year",
    "Month",
    "Category",
    "Sequence length",
)
