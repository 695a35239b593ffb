"""LLaMA's vocabulary, as much of it as the golden tests need: real pieces under their real ids.

Byte-pair encoding of the golden texts makes these pieces on its way and no others, so a tokenizer that knows them gives
the ids that the whole vocabulary gives. A piece's rank among the merges is its id. All other ids are held by fillers
that no text makes. Ids were checked against the npm package llama-tokenizer-js 1.2.2, which holds all of them.
"""

from __future__ import annotations

import functools

from transformers import LlamaTokenizer, PreTrainedTokenizerFast

from weights.tokens import with_image_token

ROWS = 32_000

_PIECES = """
13 <0x0A> 260 ▁t 261 er 262 in 263 ▁a 264 en 265 on 266 ▁th 267 es 269 ▁s 270 ▁d 271 at 273 an 274 ▁c 275 is 276 re
277 it 278 ▁the 279 ar 280 le 281 ▁w 282 ▁p 283 ou 284 al 285 ▁f 287 ed 288 ▁o 289 ▁b 291 ion 292 ing 293 ic 294 as
295 el 296 ent 297 ▁in 298 ▁h 299 nd 300 et 301 ▁l 302 ▁n 303 st 304 ▁to 306 ▁I 307 ro 309 il 310 ▁of 312 ct 318 ▁u
319 ▁A 321 ▁e 322 ▁and 323 ▁T 324 ol 325 ▁v 326 im 328 ad 330 ▁g 331 em 332 ur 333 id 335 ig 336 ra 339 qu 340 ow 341
▁M 342 est 343 ▁y 345 ve 346 ce 351 ag 352 ul 354 he 361 if 364 ▁r 365 ▁L 366 ▁you 368 ly 370 ab 378 ▁con 379 ▁H 385
▁an 388 ay 389 ith 391 ist 392 and 393 ▁that 396 ▁# 398 um 399 ▁W 406 ere 408 ▁as 409 ▁se 410 ▁pro 411 ▁with 414 ers
424 ant 428 ction 429 ▁ex 430 ld 433 la 437 ▁do 439 ▁qu 440 iv 444 ▁## 450 ▁The 479 ge 482 age 483 ould 488 ile 491
▁by 501 ▁U 502 ▁us 508 ▁can 514 ell 518 ▁[ 521 ▁ch 526 ▁are 528 ▁sh 529 ▁< 535 con 557 ak 563 ▁und 564 ▁ar 568 ite 569
ble 574 ang 582 ru 596 ▁your 598 are 602 estion 603 ime 612 ▁Y 616 ial 640 ▁cont 663 ence 677 low 681 ous 705 we 722
▁var 727 ▁there 737 ail 773 ▁using 806 ▁Wh 829 </ 832 ▁inst 835 ▁### 858 yst 881 ▁should 887 ▁You 893 ss 900 ▁fol 928
ific 938 ▁int 947 ▁does 950 ual 973 ystem 1001 ER 1010 ▁bet 1020 ▁tra 1081 ▁hel 1090 ▁under 1101 ▁follow 1116 cond
1126 ▁And 1128 ▁How 1139 ▁question 1177 IN 1187 eta 1197 ▁vari 1223 ▁ass 1236 ▁pe 1248 ▁pol 1254 ST 1278 ask 1312 ined
1319 ful 1326 ▁prov 1337 atur 1371 ▁help 1404 ▁user 1439 ▁det 1452 ween 1473 ▁second 1510 ▁show 1517 ▁giv 1518 ▁exp
1546 ▁between 1616 ▁art 1689 stand 1724 ▁What 1788 ▁system 1799 SS 1953 ctions 1998 ▁vis 2190 AN 2203 ▁lar 2221 ▁able
2247 ides 2274 ▁understand 2277 ## 2285 ison 2356 iled 2375 angu 2455 hat 2481 Time 2562 ▁care 2738 ious 2774 sw 2793
▁content 2855 And 2919 ▁large 2952 ollow 3000 anguage 3148 ▁US 3151 ▁cur 3165 ▁hum 3250 day 3305 ety 3414 ▁task 3492
You 3532 ▁<< 3641 ▁expla 3730 fully 4007 ▁Ass 4033 ▁natur 4076 ▁gives 4086 ▁language 4104 ▁Mad 4853 ▁ax 5155
▁questions 5161 ▁ris 5199 ▁human 5613 ▁natural 5618 What 5649 ▁explain 5661 La 5667 IV 5778 ▁instru 5956 swers 5974
▁Time 6089 ▁answers 6324 ▁Hi 6778 >> 6923 ▁seconds 6985 ▁assist 7604 ▁visual 7889 uman 7900 Ass 8128 ▁provides 8444
▁helpful 9047 IST 9347 ellig 9493 ▁detail 9595 ▁tasks 9685 ▁axis 9826 ▁today 10327 aks 11672 ▁curve 11881 etailed
11994 ▁instructions 12016 ▁Lab 12758 ▁curious 12875 ▁variety 12968 ▁Human 13052 ▁intellig 13173 ▁detailed 13563 ▁chat
13566 ANT 14816 SY 16112 ▁carefully 16370 ▁trained 18551 ▁vision 19069 ▁artific 20255 ▁assistant 20449 VA 20493
▁rising 21082 ▁intelligence 22137 istant 23116 ▁artificial 25580 INST 29871 ▁ 29872 e 29873 t 29874 a 29875 i 29876 n
29877 o 29878 r 29879 s 29880 l 29881 d 29882 h 29883 c 29884 u 29885 m 29886 p 29887 g 29888 f 29889 . 29890 b 29891
y 29892 , 29893 w 29894 v 29895 k 29899 - 29901 : 29902 I 29903 S 29909 A 29911 T 29914 / 29915 ' 29916 x 29923 E
29924 M 29931 L 29934 R 29937 # 29939 q 29940 N 29943 F 29945 5 29950 H 29956 W 29958 > 29961 [ 29962 ] 29963 V 29965
U 29966 < 29973 ? 29979 Y 29991 !
"""

V0_ADDED = ("<im_patch>", "<im_start>", "<im_end>", "[PAD]")
V1_ADDED = ("<im_patch>", "<im_start>", "<im_end>")
CHATML_ADDED = (*V1_ADDED, "<|im_start|>", "<|im_end|>")


@functools.cache
def llama_tokenizer(added: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """LLaMA's tokenizer with `added` from id 32,000 on, and <image> (in place of <im_patch>, where that is added).

    Made once for each `added`: to change it, take a copy.
    """
    numbers = _PIECES.split()
    known = {piece: int(number) for number, piece in zip(numbers[::2], numbers[1::2], strict=True)}
    known |= {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"<0x{byte:02X}>": 3 + byte for byte in range(256)}}
    taken = set(known.values())
    vocabulary = known | {f"⟨{number}⟩": number for number in range(ROWS) if number not in taken}
    tokenizer = LlamaTokenizer(vocab=vocabulary, merges=_merges(known), legacy=True)
    tokenizer.add_tokens(list(added), special_tokens=True)
    return with_image_token(tokenizer, ROWS + len(added), start_end="<im_start>" in added, separate=True).tokenizer


def _merges(known: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to put a piece together from two others, in the order of the pieces' ids."""
    merges = []
    for piece, _ in sorted(known.items(), key=lambda item: item[1]):
        if piece.startswith("<") and piece.endswith(">") and len(piece) > 2:
            continue
        merges += [(piece[:i], piece[i:]) for i in range(1, len(piece)) if {piece[:i], piece[i:]} <= known.keys()]
    return merges
