"""Words of which names as in papers are made: whole legends and categories, and parts to be put together.

The evaluation's figures were not looked at for them. A row of LEGENDS or CATEGORIES holds names of one figure. How the
parts are put together is in `paper_names`.
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
PARAMETERS = (
    "n = {}", "N={}", "k={}", "T = {} K", "{} nm", "{} mM", "{} K", "{}%", "{} °C", "L = {}", "p = {}", "{} MPa",
    "B={} T", "d = {} m", "{} dB", "batch {}", "{} threads", "{} nodes", "depth {}", "{}x", "top-{}", "{} layers",
    "{}-shot", "λ = {}", "α={}", "β = {}", "γ = {}", "ε={}", "σ = {}", "τ = {} ms", "Δt = {} s", "θ={}°", "μ = {}",
    "ω = {} rad/s", "ϕ={}", "lr = {}", "lr={}", "wd {}", "m={}", "q = {}", "r={}", "s = {}", "{} h", "{} days",
    "day {}",
    "week {}", "{} min", "{} ms", "{} s", "{} Hz", "{} kHz", "{} GHz", "{} mV", "{} V", "{} mA", "{} µM", "{} μg/mL",
    "{} mg/kg", "{} mg", "{} kg", "{} km", "{} cm", "{} µm", "{} Pa", "{} kPa", "{} bar", "{} ppm", "{} wt%", "{} mol%",
    "{} %", "{}°", "{} MB", "{} KiB", "{} GB/s", "{} cores", "{} clients", "{} replicas", "{} epochs", "{} seeds",
    "{} samples", "x = {}", "z = {}", "Re = {}", "Ra = {}", "M={} kg", "pH {}", "I = {} A", "rank {}", "dim {}",
    "n_heads={}", "max_depth = {}", "num_workers={}", "window ({})", "Layer {}", "Seed {}", "Cycle {}", "Year {}",
    "Fold {}", "Level {}", "Stage {}", "Bin {}", "<{}", ">{}", "≤ {}", "≥ {}", "±{}", "{}:1", "1:{}", "{}/100",
    "-{} V", "-{} °C", "+{} K", "${}", "€{}", "{}k", "{}M", "Q{}", "{}th percentile", "p{}", "v{}", "Δ{}", "w/ {}",
)  # fmt: skip
"""Around a number."""
TWO_PARAMETERS = (
    "N={}, k={}", "({}, {})", "{} x {}", "{}x{}", "T={} K, p={} bar", "{} threads, {} clients", "d={}, h={}",
    "{} nm / {} nm", "α={}, β={}", "lr={}, bs={}", "{} ± {}", "n={}; m={}", "{}-{}", "{} to {}", "L{}-H{}",
)  # fmt: skip
METHODS = _flat("""
baseline; proposed; random; oracle; naive; exact; approximate; adaptive; uniform; sparse; dense; hybrid; local
global; static; dynamic; linear; quadratic; cubic; nearest; bilinear; bicubic; spline; kriging; sync; async; eager; lazy
pruned; distilled; quantized; fine-tuned; pretrained; frozen; from scratch; zero-shot; few-shot; supervised; reference
self-supervised; semi-supervised; unsupervised; centralised; federated; sequential; parallel; batched; streaming; cached
AdamW; RMSProp; Nesterov; Adadelta; L-BFGS; SPSA; CMA-ES; NSGA-II; PSO; DE; GA; SA; Tabu; MCTS
PCA; ICA; NMF; LDA; UMAP; t-SNE; SVM; RBF-SVM; kNN; CART; XGB; LightGBM; CatBoost; AdaBoost; MLP; CNN; RNN; GNN; GAT
VAE; GAN; DDPM; DDIM; flow matching; score SDE; EM; MCMC; HMC; NUTS; SMC; ABC; VI; Laplace; GP; Kalman; EnKF; 4D-Var
FEM; FDM; FVM; SPH; LBM; DNS; LES; RANS; DSMC; PIC; DFT; HF; MP2; CCSD(T); PBE; B3LYP; SCAN; QMC; DMRG; TEBD; ED
BFS; DFS; A*; Dijkstra; Bellman-Ford; quicksort; mergesort; heapsort; radix sort; timsort; FIFO; LRU; LFU; ARC; CLOCK
Raft; Paxos; PBFT; gossip; 2PC; MVCC; B-tree; LSM; hash index; skip list; trie; bloom filter; cuckoo; robin hood
""")
ADDITIONS = _flat("""
+ cache; + prefetch; + thread; + 2 threads; + noise; + dropout; + EMA; + augmentation; + pretraining; + CRF; + LM
+ drug; + inhibitor; + light; + O2; + salt; + heat; + IPTG; + antibiotic; + siRNA; + vehicle; + 10 % FBS; + NaCl
w/o norm; w/o skip; w/o pruning; w/o context; w/ context; with memory; without memory; with fusion; no fusion; (ours)
(full); (fast); (small); (large); (tuned); (default); (mean); (median); (train); (test); (fit); (measured); (modelled)
(predicted); (observed); (2019); (2020); (a = 2); (n = 8); (95 % CI); (ref.); (old); (new); (GPU); (CPU); (int8); (fp16)
-small; -base; -large; -XL; -v2; -lite; -2; ++; *; 2; II; 1.5; +; -S; -L; -mini; -tiny; -fast; -opt; -bis; ′; _v2; .old
""")
SIZES = _flat(
    "1B; 3B; 7B; 8B; 13B; 34B; 70B; 110M; 350M; 1.3B; 2.7B; 0.5B; S; M; L; XL; 18; 34; 50; 101; 152; B/16; L/14; T"
)
TAILS = (
    "",
    "",
    "",
    "-Instruct",
    "-chat",
    "-base",
    " v0.2",
    " v2",
    " (int4)",
    " (8-bit)",
    "-it",
    "-hf",
    " [12]",
    "†",
    "-Q4",
)
COUNTRIES = _flat("""
Albania; Algeria; Angola; Argentina; Armenia; Australia; Austria; Bangladesh; Belgium; Benin; Bolivia; Botswana
Bulgaria
Cambodia; Cameroon; Chad; Colombia; Costa Rica; Croatia; Cuba; Czechia; Denmark; Ecuador; Egypt; Estonia; Ethiopia; Fiji
Finland; Gabon; Georgia; Ghana; Greece; Guatemala; Guinea; Guinea-Bissau; Haiti; Honduras; Hungary; Iceland; Indonesia
Iran; Iraq; Ireland; Israel; Italy; Jamaica; Jordan; Kazakhstan; Korea, Rep.; Kuwait; Laos; Latvia; Lebanon; Libya
Lithuania; Luxembourg; Madagascar; Malawi; Malaysia; Mali; Malta; Mexico; Moldova; Mongolia; Morocco; Mozambique; Nepal
Netherlands; New Zealand; Nicaragua; Niger; Nigeria; North Macedonia; Oman; Pakistan; Panama; Paraguay; Peru
Philippines
Poland; Portugal; Qatar; Romania; Rwanda; Saudi Arabia; Senegal; Serbia; Singapore; Slovakia; Slovenia; Somalia; Spain
Sri Lanka; Sudan; South Sudan; Sweden; Switzerland; Syria; Tanzania; Thailand; Togo; Tunisia; Turkey; Uganda; Ukraine
Uruguay; Uzbekistan; Yemen; Zambia; Zimbabwe; Congo (DRC); Congo, Rep.; Côte d'Ivoire; EU-27; World; OECD; Euro area
""")
CITIES = _flat("""
Amsterdam; Athens; Atlanta; Auckland; Bangkok; Barcelona; Beijing; Bogotá; Boston; Brussels; Budapest; Buenos Aires
Cairo
Cape Town; Chicago; Copenhagen; Dakar; Dallas; Delhi; Denver; Dublin; Düsseldorf; Geneva; Hamburg; Hanoi; Helsinki
Houston; Istanbul; Jakarta; Karachi; Kraków; Kyiv; Lima; Lisbon; London; Los Angeles; Lyon; Madrid; Málaga; Manila
Miami
Milan; Montréal; Moscow; Munich; New Delhi; Osaka; Paris; Perth; Phoenix; Porto; Prague; Québec; Riga; Rome; San Diego
San José; Santiago; Seattle; Seoul; Shanghai; Singapore; Sofia; Stockholm; Tallinn; Tehran; Toronto; Turin; Vienna
Warsaw
York; Zürich; St. Louis; The Hague; A Coruña; Washington, D.C.; Station A; Site B-12; North basin; Upper reach
""")
SPECIES = _flat("""
B. subtilis; S. aureus; S. cerevisiae; P. aeruginosa; D. melanogaster; C. elegans; M. musculus; H. sapiens
A. thaliana; Z. mays; O. sativa; Daphnia magna; Danio rerio; Picea abies; Fagus sylvatica; Quercus robur
Pinus sylvestris
Salmo salar; Gadus morhua; Apis mellifera; Bombus terrestris; Parus major; oak; beech; spruce; pine; birch; salmon
trout
cod; herring; perch; eel; fox; hare; lynx; wolf; elk; moose; red deer; roe deer; phytoplankton; zooplankton; benthos
""")
INSTRUMENTS = _flat("""
XRD; XPS; SEM; TEM; AFM; NMR; FTIR; Raman; GC-MS; LC-MS/MS; ICP-OES; UV-Vis; ELISA; qPCR; MODIS; VIIRS; Landsat 8
Sentinel-2A; Sentinel-2B; ERA5; CMIP6; GRACE-FO; Jason-3; Argo float 12; radar; lidar; rain gauge; buoy 46012; GPS; IMU
thermocouple; pyrometer; hot wire; PIV; LDA; strain gauge; accelerometer; ECG; EEG; EMG; fNIRS; MRI; CT; PET; HST; JWST
""")
TREATMENTS = _flat("""
control; vehicle; placebo; sham; untreated; mock; heterozygous; homozygous; low dose; high dose; fasted
fed; young; old; male; female; before; after; baseline; follow-up; day; night; winter; summer; wet; dry; upstream
downstream; rural; urban; north; south; east; west; inner; outer; upper; lower; left; right; healthy; patients; carriers
""")
TASKS = _flat("""
sort; hash; copy; scan; insert; update; delete; lookup; range query; join; group by; order by; count; parse; encode
decode
compress; decompress; read; write; random read; random write; sequential read; seek; open; close; map; filter; reduce
matmul; conv2d; softmax; attention; layer norm; embedding; FFT; SpMV; GEMM (fp16); GEMM (int8); stencil; n-body; k-means
summarisation; translation; question answering; code generation; math; commonsense; retrieval; captioning; segmentation
""")
CODE_PARTS = _flat("""
read; write; parse; load; init; step; loss; grad; batch; cache; page; node; tree; queue; lock; heap; pool; io; net; disk
cpu; gpu; mem; user; sys; total; mean; max; min; p50; p99; avg; std; temp; rate; count; size; time; len; idx; val; train
test; eval; fast; slow; v1; v2; old; new; raw; norm; base; opt; mt; st; simd; utf8; json; csv; bytes; str; int; float
""")
NOTES = (
    "n = {}", "{} MB", "{} MB, short keys", "{} GB, few repeats", "{} %", "{} sites", "test", "pilot", "{} kg",
    "{} years", "1 h", "N={}, two arms", "v{}", "old", "new", "ref. {}", "{} rows, sorted", "mean of {}", "est.", "x{}",
    "{} ms",
)  # fmt: skip
"""Around a number: what stands in brackets behind a name."""
LONG_PARTS = _flat("""
proposed method with adaptive step size; baseline without regularisation; two-stage approach of the previous section
mean of all stations; only samples with complete records; weighted by population; after removal of outliers
households with at least one child; primary care, rural districts; vehicles with electric drive
estimated from the model
measured at the outlet; simulated with the coarse grid; linear regression on log-transformed data; all other causes
patients who completed the treatment; first author is a student; with early stopping and warm restarts; upper 10 percent
hot water and space heating; road transport, including buses; non-profit organisations; no answer or do not know
""")
FOREIGN = _rows("""
温度; 湿度; 压力; 风速; 流量; 总计
训练集; 验证集; 测试集; 本文方法; 对比方法
北京; 上海; 广州; 深圳; 成都; 武汉
男性; 女性; 合计; 平均
提案手法; 従来手法; 実測値; 計算値; 平均
東京; 大阪; 名古屋; 札幌; 福岡; 仙台
Москва; Казань; Омск; Пермь; Самара; Уфа
контроль; опыт 1; опыт 2; среднее; модель
расчёт; эксперимент; теория
서울; 부산; 대구; 인천; 광주
Männer; Frauen; Jugendliche; Gesamt; über 65-Jährige
Été; Hiver; Printemps; Automne; Moyenne générale
Niñez; Años 2000; Región Sur; Región Norte; Media española
Größe A; Größe B; Mittelwert; Übrige Länder
Kraków; Łódź; Gdańsk; Wrocław; Poznań; Białystok
""")
LEGEND_TITLES = (
    "series", "group", "Group", "method", "Method", "model", "Model", "Legend", "legend", "Category", "type", "Type",
    "region", "Region", "variable", "Species", "Treatment", "class", "cohort", "Sex", "Condition", "country", "dataset",
    "species", "N", "k", "Number of layers", "Age group", "Algorithm", "Threads", "year", "Year", "Layer",
    "Temperature (K)", "sector", "City", "scenario", "Scenario", "Strategy", "source", "batch size", "key", "Optimizer",
)  # fmt: skip
"""What stands above the names of a legend, and is now and then taken for one of them."""
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
Mon; Tue; Wed; Thu; Fri; Sat; Sun
Jan; Apr; Jul; Oct
0; 1; 2; 3; 4; 5; 6+
<1; 1-5; 5-10; 10-50; 50-100; >100
I; II; III; IV; V; VI; VII; VIII
Q1 2021; Q2 2021; Q3 2021; Q4 2021; Q1 2022; Q2 2022; Q3 2022; Q4 2022
A1; A2; A3; B1; B2; B3; C1; C2; C3
10 °C; 15 °C; 20 °C; 25 °C; 30 °C; 35 °C
00:00; 04:00; 08:00; 12:00; 16:00; 20:00
spring; summer; autumn; winter
1990s; 2000s; 2010s; 2020s
0 %; 25 %; 50 %; 75 %; 100 %
P1; P2; P3; P4; P5; P6; P7; P8; P9; P10; P11; P12; P13; P14; P15; P16; P17; P18; P19; P20
chr1; chr2; chr3; chr4; chr5; chr6; chr7; chr8; chr9; chr10; chr11; chr12; chr13; chr14; chr15; chr16; chr17; chr18
2000; 2001; 2002; 2003; 2004; 2005; 2006; 2007; 2008; 2009; 2010; 2011; 2012; 2013; 2014; 2015; 2016; 2017; 2018; 2019
Never; Rarely; Sometimes; Often; Always
a posteriori; a priori; the rest; A team; B team; An Giang; A: none; B: partial; C: full
Text (1.2 MB, short lines); Logs (3 GB, mixed fields); Images (40 MB, few labels); Graph (2.1 GB, many edges)
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
Frequency (%); Density; Probability; Cumulative share; Fraction of cells; Sum of acres; Mean of rating; Average rating
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
UNITS = _flat("""
s; ms; µs; μs; ns; ps; min; h; days; d; years; yr; m; mm; cm; km; nm; µm; μm; Å; pc; Mpc; g; mg; kg; µg; t; t/ha
kg/m3; g/L
mg/L; mg dL−1; ng/mL; mol; mmol; µM; nM; mol L-1; K; °C; °F; Pa; kPa; MPa; GPa; bar; hPa; mbar; atm; N; kN; mN; N m; J
kJ
kJ/mol; eV; meV; keV; MeV; GeV; kcal/mol; W; mW; kW; MW; GW; W/m2; W m−2; W m-2; kWh; MWh; TWh; V; mV; kV; A; mA; µA
nA; pA
A/cm2; mA cm−2; Ω; kΩ; MΩ; Ω m; F; pF; nF; mF/cm2; S/m; S/cm; T; mT; Hz; kHz; MHz; GHz; THz; 1/cm; cm-1; dB; dBm; dBi
rad
deg; °; rad/s; rpm; m/s; m/s2; km/h; cm/s; m s−1; mm/day; mm h-1; mm/yr; L/min; mL/min; m3/s; %; wt%; at.%; vol%; ‰; ppm
ppb; ppmv; ppt; a.u.; arb. units; arb. u.; counts; counts/s; cps; cells/mL; CFU/mL; log10 CFU; copies/µL; bpm; mmHg
IU/L
U/mL; kDa; bp; kb; Mb; USD; EUR; $; €; £; million USD; bn EUR; thousands; millions; per 1000
per 100,000; Mt
Gt CO2; MtCO2e; kt; ha; km2; req/s; ops/s; Mops/s; img/s; tokens/s; GFLOP/s; TFLOP/s; GB/s; MiB/s; Mbit/s; Gbps; MB
MiB; GB
GiB; KB; bytes; bits; bits/s/Hz; pixels; px; lines; frames/s; fps; cycles; cycles/B; steps; k steps; sec; hours
months
weeks; kyr; Ma; ka BP; mag; Jy; erg/s; M☉; dyn/cm; cP; mPa s; mN/m; kg/ha; mm3; cm3; mL; µL; L; mM; GPU hours
person-years
""")
AXIS_WORDS = _flat("""
elevation; yield; load; gain; accuracy; loss; score; price; income; revenue; demand; emissions; temperature; pressure
humidity; rainfall; runoff; discharge; depth; salinity; turbidity; chlorophyll; biomass; height; weight; mass; body mass
length; width; thickness; diameter; radius; area; volume; density; viscosity; porosity; permeability; stress; strain
force
torque; displacement; velocity; speed; acceleration; flow; flux; power; energy; work; heat; entropy; enthalpy
efficiency
voltage; current; charge; capacity; capacitance; resistance; resistivity; conductivity; impedance; field; potential
phase
amplitude; frequency; wavelength; intensity; absorbance; transmittance; reflectance; fluorescence; luminosity
brightness
concentration; titre; activity; expression; abundance; richness; survival; mortality; incidence; prevalence; dose
response
latency; throughput; bandwidth; utilisation; memory; footprint; runtime; overhead; speedup; hit rate; miss rate
drop rate
error; RMSE; MAE; bias; variance; precision; recall; AUC; F1; IoU; reward; regret; entropy; perplexity; likelihood
evidence
population; births; deaths; GDP; inflation; unemployment; exports; imports; sales; share; turnout; ridership; traffic
age
time; distance; position; angle; step; epoch; iteration; generation; cycle; rank; size; batch size; sample size
threshold
number of calls; number of samples; cost per unit; cost; risk; probability; odds ratio; hazard; effect size; fold change
""")
AXIS_MODIFIERS = _flat("""
mean; median; total; relative; normalised; normalized; average; max.; min.; peak; cumulative; annual; daily; monthly
hourly
estimated; predicted; measured; observed; simulated; residual; net; gross; specific; effective; apparent; surface; bulk
initial; final; test; training; validation; out-of-sample; end-to-end; p99; per-core; aggregate; excess; critical
reduced
soil; air; water; sea surface; leaf; root; plasma; serum; tumour; tissue; cell; gate; drain; output; input; optical
""")
AXIS_PATTERNS = (
    "Mean of {}", "Sum of {}", "Count of {}", "log10({})", "log({})", "ln({})", "Log10 {}", "Δ{}", "Δ {}", "{} change",
    "Change in {}", "Rate of {}", "{} index", "{} ratio", "{} anomaly", "{}, normalised", "Number of {} events",
    "{} rate", "{} per capita", "{}, log scale", "1 - {}", "1/{}", "{} improvement", "{} reduction", "Share of {}",
    "Average {}", "{} difference", "d{}/dt", "{} at 5 years", "{} vs. reference", "{} below the mean", "Std. of {}",
)  # fmt: skip
AXIS_SYMBOLS = (
    "x", "y", "t", "t (s)", "T (K)", "T [K]", "λ (nm)", "λ [µm]", "f (Hz)", "E (eV)", "E - E_F (eV)", "E", "k",
    "q (1/Å)",
    "q", "n", "N", "p", "P (W)", "V", "V (mV)", "I (A)", "I/I0", "C/C0", "z", "z (m)", "r", "r/R", "x/L", "y/δ", "ω",
    "ω τ",
    "θ (deg)", "2θ (deg.)", "φ", "ρ", "σ", "σ (MPa)", "ε (%)", "μ", "β", "α", "γ", "κ", "η", "ψ", "τ", "τ (ns)",
    "Re", "Nu",
    "Sh", "u+", "y+", "Cd", "Cl", "Cp", "a", "b", "v", "x_1", "x1", "x2", "R2", "R²", "χ²", "J (A/cm2)", "B (T)",
    "H (Oe)",
    "M/Ms", "k_B T", "dN/dE", "-Z'' (Ω)", "Z' (Ω)", "log k", "ΔG", "ΔT (K)",
    "pCO2",
    "δ18O (‰)", "t_max", "mean_temp", "val_loss", "n_samples", "learning_rate", "time_ms", "y_true",
    "price_usd", "hp", "mpg", "count", "density", "freq", "id",
)  # fmt: skip
FOREIGN_AXES = (
    "时间 (s)", "時間 [s]", "电流(mA)", "压力 (MPa)", "人口(万人)", "気温 [℃]", "売上高 (億円)", "准确率 (%)",
    "Температура, °C", "Время, с", "Доля (%)", "Zeit (s)", "Temperatur (°C)", "Häufigkeit", "Größe [cm]", "Année",
    "Température (°C)", "Fréquence (Hz)", "Número de casos", "Año", "Población (millones)", "Tempo (s)", "Idade (anos)",
    "Liczba osób", "Čas [s]", "온도 (°C)",
)  # fmt: skip
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
    "Species",
    "Treatment",
    "Group",
    "Site",
    "Region",
    "Benchmark",
    "Algorithm",
    "Number of threads",
    "Dose (mg/kg)",
    "Layer",
    "Feature",
    "Cluster",
    "Quarter",
    "Day of the week",
    "Education",
    "Income group",
    "Cause of death",
    "Operation",
    "Batch size",
    "fold",
    "cell line",
)
STRAY_TEXTS = (
    "n = 12", "n=48", "N = 1,204", "p < 0.05", "p = 0.013", "p<0.001", "n.s.", "***", "**", "ns", "R² = 0.93",
    "R2=0.87",
    "r = -0.41", "threshold", "peak", "onset", "phase 1", "phase 2", "lockdown", "max", "target", "limit", "DRAFT",
    "DOI",
    "95 % CI", "mean ± SD", "slope 1/2", "x2.3", "-> better", "lower is better", "higher is better", "see text", "◆",
    "□",
    "中", "●", "H", "①", "Zoom", "0.05", "break-even", "trend", "Start", "End", "event A", "preliminary",
    "source: own data",
    "Source: national statistics", "© 2021", "arXiv", "Data: annual report 2020", "Created with a script", "(c)", "TH",
    "95th percentile", "y = 0.42x + 1.3", "y=1.9x", "median", "avg: 41.2", "k = 3", "10x", "+12 %", "-3.1 %", "n/d",
    "N/A",
)  # fmt: skip
"""What stands in a figure besides its names: notes, marks of tests, sources, and signs that OCR takes for text."""
TITLES = (
    "{y}", "{y} vs. {x}", "{y} by {x}", "{y} over {x}", "Effect of {x} on {y}", "{y}: comparison", "Results", "(final)",
    "Experiment 3", "Dataset B", "Run of 12 May", "Comparison of approaches", "Overview, all groups", "Model selection",
    "Sensitivity to {x}", "Distribution of {y}", "{y}, 2015-2021", "Test 4, batch 2", "Scenario: high growth",
    "Fit results",
)  # fmt: skip
