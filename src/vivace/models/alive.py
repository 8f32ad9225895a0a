"""Alive's transformer: a video tower and an audio tower that exchange what they know (arXiv 2602.08682).

No code or weights of Alive are public. What its report and figures state is built as stated; the rest is chosen, and
`DEVIATIONS.md` says which is which. In the first stage dual-stream video blocks (with text) and audio blocks run side
by side, and after each the two streams read each other. Sound is then finished. Single-stream blocks refine the
picture, and read the sound's estimated clean latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.attention import AttentionMixin
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.models.alive_audio import AudioTower, pairing
from vivace.models.alive_checks import check_inputs, check_texts
from vivace.models.alive_context import AliveContext, ClipConditions, Words
from vivace.models.alive_entry import AudioSide, Entered, VideoSide, enter_audio, enter_video
from vivace.models.alive_exchange import Exchange, clocks
from vivace.models.alive_start import initialise
from vivace.models.alive_time import estimated_clean
from vivace.models.alive_video import VideoTower
from vivace.models.gaussian_skip import GaussianSkips, Latents
from vivace.models.layers import Patch, unpatchify
from vivace.models.reuse import BlockMemory
from vivace.pair import AV


class AliveTransformer(ModelMixin, ConfigMixin, PeftAdapterMixin, AttentionMixin):
    """Velocity of picture and sound given their noisy latents, timesteps and a context.

    Args:
        video_channels: channels z of a video latent; the network sees 2 z + mask_channels (noisy, condition, mask).
        mask_channels: pictures per latent frame, each of which the mask tells given or not.
        audio_channels: values of an audio token.
        patch_size: frames, rows and columns of the latent that make one video token.
        dim, num_heads, num_dual_layers, num_single_layers: the video tower.
        audio_dim, audio_heads, num_audio_layers: the audio tower.
        audio_per_stage: audio blocks that run in each stage, before its fusion; what remains runs after the last one.
            None spreads them evenly, earlier stages having the larger share.
        exchange_dim, exchange_heads: of the attention between the towers; adjust_rank: of its adjustment to time.
        text_dims: widths of the features of each text encoder; the audio tower's description comes from the first.
        text_len: most tokens of a text of one encoder. speech_dim: width of the features of what is said; 0 is the
            first encoder's.
        freq_dim: width of the time sinusoid; eps: of all norms.
        rope_theta: rotary base within the towers; time_theta, time_rate: base, and positions per second, of the rotary
            time between them.
        reference_gap, reference_step: latent frames from the clip's end to the first reference, and between references.
        learned_positions: lengths of learned tables for frames, rows and columns, or None for rotary positions alone.
        audio_positions: length of a learned table for audio tokens, or 0 for rotary positions alone, as is published
            (ours: of pure noise, relative positions tell no token whether it begins the clip).
        blank: value of each video channel where no condition is given (a black picture's latent); None is 0.
        gaussian_skip: the velocity that the latents' mean and covariance tell is added to what the towers say
            (`models.gaussian_skip`; ours).
        still_skip: with gaussian_skip, that tells what stays the same over a clip from what does not (ours).
        estimate_gradient: whether the picture's loss reaches the audio tower through the estimated clean sound.
        trained_with: hashes of the codecs and the text encoder that it was trained with.

    Source: facts of the report and its figures; the defaults are the published 12 B + 2 B configuration.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["DualBlock", "SingleBlock", "AudioBlock", "Fusion"]  # noqa: RUF012 - what diffusers reads
    _repeated_blocks = ["DualBlock", "SingleBlock", "AudioBlock"]  # noqa: RUF012
    _skip_layerwise_casting_patterns = ["embedding", "norm", "head", "modulation", "adjust"]  # noqa: RUF012
    _group_offload_block_modules = ["video", "audio", "exchange"]  # noqa: RUF012

    @register_to_config
    def __init__(
        self,
        video_channels: int = 16,
        mask_channels: int = 4,
        audio_channels: int = 32,
        patch_size: Patch = (1, 2, 2),
        dim: int = 3072,
        num_heads: int = 24,
        num_dual_layers: int = 16,
        num_single_layers: int = 40,
        audio_dim: int = 1536,
        audio_heads: int = 24,
        num_audio_layers: int = 32,
        audio_per_stage: tuple[int, ...] | None = None,
        exchange_dim: int = 1536,
        exchange_heads: int = 24,
        adjust_rank: int = 256,
        text_dims: tuple[int, ...] = (4096, 5120),
        text_len: int = 512,
        speech_dim: int = 0,
        freq_dim: int = 256,
        eps: float = 1e-6,
        rope_theta: float = 10000.0,
        time_theta: float = 10000.0,
        time_rate: float = 25.0,
        reference_gap: int = 16,
        reference_step: int = 4,
        learned_positions: tuple[int, int, int] | None = (64, 64, 64),
        audio_positions: int = 0,
        blank: tuple[float, ...] | None = None,
        gaussian_skip: bool = False,
        still_skip: bool = False,
        estimate_gradient: bool = False,
        trained_with: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        for width, heads in ((dim, num_heads), (audio_dim, audio_heads), (exchange_dim, exchange_heads)):
            if width % heads or (width // heads) % 2:
                raise VivaceError(
                    f"Width {width} does not give {heads} heads of even width; choose a multiple of 2 * heads."
                )
        self.pairing = pairing(num_audio_layers, num_dual_layers, audio_per_stage)
        if blank is not None and len(blank) != video_channels:
            raise VivaceError(f"blank has {len(blank)} values for {video_channels} video channels; give one for each.")
        self.video = VideoTower(self.config, eps)
        self.audio = AudioTower(self.config, eps)
        self.exchange = Exchange(self.config, eps)
        patch = cast(Patch, tuple(patch_size))
        self.skips = GaussianSkips(video_channels, audio_channels, patch, still_skip) if gaussian_skip else None
        self.gradient_checkpointing = False
        initialise(self.video, self.audio, self.exchange)

    def encode_context(
        self,
        text: Sequence[Tensor],
        speech: Sequence[Tensor] | None = None,
        *,
        more_text: Sequence[Sequence[Tensor]] = (),
        clip: ClipConditions | None = None,
    ) -> AliveContext:
        """Project the texts and compute every audio block's keys and values; once per clip, for all steps.

        Args:
            text: features [n_i, text_dims[0]] of each sample; an empty one (n_i = 0) is the null text.
            speech: features of what each sample's speakers say, likewise; None means that nobody speaks.
            more_text: for every further text encoder, features of each sample.
            clip: what is shown beside the text.

        Raises:
            VivaceError: texts that are too long, of another width, or not one for each sample and encoder.
        """
        width = self.config.speech_dim or self.config.text_dims[0]
        spoken = [x.new_zeros(0, width) for x in text] if speech is None else speech
        check_texts(self.config, [text, *more_text], spoken)
        tokens, shown = self.video.text_embedding([text, *more_text])
        read = []
        for embedding, layers, features in (
            (self.audio.description_embedding, self.audio.description_words, text),
            (self.audio.speech_embedding, self.audio.speech_words, spoken),
        ):
            words, there = embedding([features])
            read.append(Words(tuple(layer(words) for layer in layers), there))
        return AliveContext(tokens, shown, read[0], read[1], clip or ClipConditions())

    def forward(
        self,
        latents: AV[Tensor],
        timesteps: AV[Tensor],
        context: AliveContext,
        exchange: bool = True,
        memory: BlockMemory | None = None,
    ) -> AV[Tensor]:
        """Velocity (noise - data) of each present modality, in the shape and dtype of its latents.

        Args:
            latents: video [batch, channels, T, H, W] and audio [batch, tokens, channels]; either side may be None.
            timesteps: on the 0 to 1000 scale, [batch] (or [1]), or [batch, tokens] for a timestep per token.
            context: of `encode_context`.
            exchange: whether the towers read each other; False gives what two separate runs would.
            memory: of the same clip at earlier steps, by which the blocks may be left out.

        Raises:
            VivaceError: latents, timesteps and context that do not go together.
        """
        mutual = exchange and latents.video is not None and latents.audio is not None
        check_inputs(self.config, latents, timesteps, context, mutual)
        entered = self._entered(latents, timesteps, context, mutual)

        def through_blocks(x: AV[Tensor]) -> AV[Tensor]:
            """The clip's own tokens and those of the sound, to the same."""
            text, x = self._first_stages(x, entered, context.text)
            if x.video is None:
                return x
            estimate = None
            if mutual:
                estimate = self._estimate(cast(Tensor, x.audio), entered, latents, cast(Tensor, timesteps.audio))
            return AV(self._single_stream(text, x.video, entered, estimate), x.audio)

        video, audio = entered.video, entered.audio
        x = AV(None if video is None else video.tokens, None if audio is None else audio.tokens)
        times = AV(None if video is None else video.own_time, None if audio is None else audio.time)
        heads = AV(self.video.head, self.audio.head)
        if memory is None:
            x = through_blocks(x)
        else:
            entering = x.map(lambda tokens, head, time: head.modulated(tokens, time), heads, times)
            x = memory.through(x, entering, through_blocks)
        out = x.map(lambda tokens, head, time: head(tokens, time), heads, times)
        if self.skips is not None:
            out = out.map(torch.add, self.skips(AV[Latents](latents.video, latents.audio), timesteps))
        if out.video is not None and video is not None:
            t, h, w = cast(Tensor, latents.video).shape[-3:]
            pixels = unpatchify(out.video, video.grid, cast(Patch, tuple(self.config.patch_size)))
            out = AV(pixels[:, :, :t, :h, :w], out.audio)
        return out.map(lambda velocity, x: velocity.to(x.dtype), latents)

    def _entered(self, latents: AV[Tensor], timesteps: AV[Tensor], context: AliveContext, mutual: bool) -> Entered:
        video = audio = met = None
        if latents.video is not None:
            video = enter_video(self.video, self.config, latents.video, cast(Tensor, timesteps.video), context)
        if latents.audio is not None:
            audio = enter_audio(self.audio, self.config, latents.audio, cast(Tensor, timesteps.audio), context)
        if mutual and video is not None:
            met = clocks(self.config, context.clip.times, video.grid, context.text.device)
        return Entered(video, audio, met)

    def _first_stages(self, x: AV[Tensor], entered: Entered, text: Tensor) -> tuple[Tensor, AV[Tensor]]:
        """Both towers stage by stage, with an exchange after each; then the audio blocks that are left.

        Args:
            x: tokens of the clip and of the sound. text: [batch, words, dim].

        Returns:
            text, and video tokens with those of the references behind them; finished audio tokens.
        """
        v, a, video, audio, done = x.video, x.audio, entered.video, entered.audio, 0
        if v is not None and video is not None and video.references.shape[1]:
            v = torch.cat((v, video.references), dim=1)
        for stage, count in enumerate(self.pairing):
            if v is not None and video is not None:
                block = self.video.dual_blocks[stage]
                text, v = self._through(block, text, v, video.time, video.rotation, video.bias)
            if a is not None and audio is not None:
                a = self._heard(a, audio, done, count)
            done += count
            if entered.clocks is not None:
                v, a = self._fused(stage, cast(Tensor, v), cast(Tensor, a), entered)
        if a is not None and audio is not None:
            a = self._heard(a, audio, done, len(self.audio.blocks) - done)
        return text, AV(v, a)

    def _heard(self, tokens: Tensor, audio: AudioSide, first: int, count: int) -> Tensor:
        """Audio tokens after `count` of the audio tower's blocks."""
        for number in range(first, first + count):
            block = self.audio.blocks[number]
            tokens = self._through(block, tokens, audio.time, audio.rotation, *audio.texts[number], audio.biases)
        return tokens

    def _fused(self, stage: int, v: Tensor, a: Tensor, entered: Entered) -> tuple[Tensor, Tensor]:
        """Both sides after they have read each other. References are no moments of the clip: they take no part."""
        video, audio = cast(VideoSide, entered.video), cast(AudioSide, entered.audio)
        times, now = (video.own_time, audio.time), AV(video.now, audio.now)
        fusion = self.exchange.fusions[stage]
        own, a = self._through(fusion, v[:, : video.places], a, entered.clocks, times, now)
        return (own if v.shape[1] == video.places else torch.cat((own, v[:, video.places :]), dim=1)), a

    def _estimate(self, a: Tensor, entered: Entered, latents: AV[Tensor], timesteps: Tensor) -> Tensor:
        """The clean sound that its finished tokens tell of, as the single-stream blocks read it.

        The head, one small layer, runs here and once more at the end, so that blocks turn tokens into tokens alone.
        """
        noisy, audio = cast(Tensor, latents.audio), cast(AudioSide, entered.audio)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.estimate_gradient):
            velocity = self.audio.head(a, audio.time).to(noisy.dtype)
            if self.skips is not None:
                velocity = velocity + self.skips.audio(noisy, timesteps).to(noisy.dtype)
            estimate = estimated_clean(noisy, velocity, timesteps)
        return self.exchange.embedded(estimate)

    def _single_stream(self, text: Tensor, v: Tensor, entered: Entered, estimate: Tensor | None) -> Tensor:
        """The clip's own tokens after the blocks that text, clip and references share, which read the sound."""
        video = cast(VideoSide, entered.video)
        s, own = torch.cat((text, v), dim=1), slice(video.words, video.words + video.places)
        for block, hear in zip(self.video.single_blocks, self.exchange.hear, strict=True):
            s = self._through(block, s, video.time, video.rotation, video.bias)
            if estimate is not None and entered.clocks is not None:
                found = self._through(hear, s[:, own], estimate, *entered.clocks)
                s = torch.cat((s[:, : own.start], s[:, own] + found, s[:, own.stop :]), dim=1)
        return s[:, own]

    def _through(self, block: nn.Module, *arguments: Any) -> Any:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(block, *arguments)
        return block(*arguments)

    def outside_of_blocks(self) -> list[nn.Module]:
        """What is called by itself: group offloading moves it with its tower, whose own forward is never called."""
        towers = (self.video, self.audio, self.exchange)
        return [part for tower in towers for part in tower.children() if not isinstance(part, nn.ModuleList)]

    @torch.no_grad()
    def listen(self, latents: Tensor, context: AliveContext) -> tuple[tuple[Tensor, ...], Tensor]:
        """What the audio tower makes of finished sound that no picture changes; a refiner reads it.

        Args:
            latents: clean audio tokens [batch, tokens, channels]. context: of which the texts are read.

        Returns:
            its tokens [batch, tokens, dim] after each stage, and the embedded timestep 0, [batch, dim].
        """
        audio = enter_audio(self.audio, self.config, latents, latents.new_zeros(1), context)
        tokens, done, stages = audio.tokens, 0, []
        for count in self.pairing:
            tokens = self._heard(tokens, audio, done, count)
            done += count
            stages.append(tokens)
        return tuple(stages), audio.now


# Checkpoints name the class by the package (model_index.json: ["vivace", "AliveTransformer"]), so its file may move.
AliveTransformer.__module__ = "vivace"
