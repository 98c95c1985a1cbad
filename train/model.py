"""A VAE as one object: encoder, decoder, prior and likelihood, and the terms of every objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pocketvae.keras.heads import data_head
from pocketvae.keras.io import import_tensorflow
from pocketvae.train import likelihoods, objective, priors
from pocketvae.train.config import TrainConfig
from pocketvae.train.mixed_precision import end_in_float32
from pocketvae.train.networks import build_decoder, build_encoder
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind, VaeSpec

# Noise streams of one seed: the first word of the stateless seed identifies the purpose of the noise.
_BINARIZE, _LATENT = 0, 1


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Which noise to draw: the same values give the same noise on every machine, in every process.

    Attributes:
        seed: `[2] int64`: the run's seed and the number of the step or batch.
        first: Position of the first item in the whole batch, for a worker that holds a part of it.
        whole: Number of items in the whole batch; None if the given items are all of it.
    """

    seed: Any
    first: Any = 0
    whole: int | None = None


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Terms of the bounds for K latent samples of N items, in nats.

    Attributes:
        log_likelihood: log p(x|z), `[K, N]`.
        z_log_var: Of q(z|x), `[N, D]`.
        log_prior: log p(z), `[K, N]`.
        log_posterior: log q(z|x), `[K, N]`.
        kl: KL(q(z|x) || N(0, I)) of every dimension, `[N, D]`, whatever the prior.
        outputs: The decoder's output without the head, `[K, N, *data_shape]`, or the list of its outputs.
    """

    log_likelihood: Any
    z_log_var: Any
    log_prior: Any
    log_posterior: Any
    kl: Any
    outputs: Any

    def log_weights(self) -> Any:
        """Returns the importance weights log p(x, z) - log q(z|x), `[K, N]`."""
        return self.log_likelihood + self.log_prior - self.log_posterior


class VaeModel:
    """Owns the networks; sampling happens here and is never exported."""

    def __init__(
        self,
        *,
        spec: VaeSpec,
        encoder: Any,
        decoder: Any,
        prior: Any | None,
        variance: Any = 1.0,
        bfloat16: bool = False,
    ) -> None:
        """Combines networks into a VAE.

        Args:
            spec: The interface.
            encoder: q(z|x).
            decoder: The decoder without its head.
            prior: Sampling model of the prior; None for N(0, I).
            variance: Variance of the Gaussian likelihood, or squared scale of Student's t; with channels `[C]`.
            bfloat16: Whether training steps multiply in bfloat16; what follows the networks does not.
        """
        tf = import_tensorflow()
        self.spec = spec
        self.encoder, self.decoder, self.prior = encoder, decoder, prior
        mean_of_replicas = tf.VariableAggregation.MEAN
        self.variance = tf.Variable(variance, trainable=False, name="variance", aggregation=mean_of_replicas)
        self.degrees_of_freedom: Any = (
            tf.Variable(spec.degrees_of_freedom, trainable=False, name="degrees", aggregation=mean_of_replicas)
            if spec.degrees_of_freedom is not None
            else None
        )
        self._bfloat16 = bfloat16
        self.pseudo_inputs: Any | None = None
        self.axes = tuple(range(-spec.data.rank, 0))

    @classmethod
    def build(cls, config: TrainConfig, spec: VaeSpec) -> VaeModel:
        """Builds networks with weights drawn from `config.seed`."""
        return cls(
            spec=spec,
            encoder=build_encoder(config, spec),
            decoder=build_decoder(config, spec),
            prior=priors.build_prior(config, spec.latent_dim),
            variance=1.0 if spec.data is DataKind.IMAGE else [1.0] * spec.data_shape[-1],
            bfloat16=config.bfloat16,
        )

    def add_pseudo_inputs(self, images: Any) -> None:
        """Makes a VampPrior's components the posteriors of learned images, initialized with the given ones.

        Args:
            images: `[K, H, W, C] float32` in [0, 1].
        """
        tf = import_tensorflow()
        inside = tf.clip_by_value(tf.convert_to_tensor(images), 0.02, 0.98)
        logits = tf.math.log(inside) - tf.math.log1p(-inside)
        self.pseudo_inputs = tf.Variable(logits, name="pseudo_inputs")

    def with_prior(self, prior: Any, spec: VaeSpec) -> VaeModel:
        """Returns the same networks and noise with another prior.

        Args:
            prior: Its sampling model.
            spec: The interface with it.
        """
        model = VaeModel(spec=spec, encoder=self.encoder, decoder=self.decoder, prior=prior)
        model.variance, model.degrees_of_freedom = self.variance, self.degrees_of_freedom
        return model

    def trainable_variables(self) -> list[Any]:
        """Returns the variables that the optimizer changes."""
        variables = [*self.encoder.trainable_variables, *self.decoder.trainable_variables]
        if self.pseudo_inputs is not None:
            return [*variables, self.pseudo_inputs]
        return [*variables, *(self.prior.trainable_variables if self.prior is not None else [])]

    def freeze_components(self) -> None:
        """Copies a VampPrior's current components into the mixture that samples from it."""
        if self.pseudo_inputs is not None and self.prior is not None:
            means, log_scales = self._components()
            self.prior.get_layer("means").set_weights([means.numpy()])
            self.prior.get_layer("log_scales").set_weights([log_scales.numpy()])

    def encode(self, x: Any, labels: Any, *, training: bool = False) -> tuple[Any, Any]:
        """Returns (z_mean, z_log_var) of `x [N, *data_shape]`, of images in [0, 1]."""
        inputs = [x, labels] if self.spec.label_count else x
        z_mean, z_log_var = self._ended(self.encoder(inputs, training=training))
        return z_mean, z_log_var

    def decode(self, z: Any, labels: Any, *, training: bool = False) -> Any:
        """Returns the decoder's output without the head, or the list of its outputs."""
        return self._ended(self.decoder([z, labels] if self.spec.label_count else z, training=training))

    def means(self, z: Any, labels: Any) -> Any:
        """Returns the means of p(x|z), of images in [0, 1]."""
        return data_head(self.spec, self.decode(z, labels))

    def given(self, items: Any) -> Any:
        """Returns items as an encoder takes them: images `[N, H, W, C] uint8` in [0, 1], others as they are."""
        tf = import_tensorflow()
        return tf.cast(items, tf.float32) / 255.0 if self.spec.data is DataKind.IMAGE else items

    def observe(self, items: Any, noise: Noise) -> Any:
        """Returns what the likelihood models, `[N, *data_shape] float32`: images binarized for a Bernoulli one.

        Args:
            items: `[N, H, W, C] uint8` of images, else `[N, *data_shape] float32`.
            noise: Noise of the binarization.
        """
        tf = import_tensorflow()
        intensities = self.given(items)
        if self.spec.likelihood is not Likelihood.BERNOULLI:
            return intensities
        shape = tf.shape(intensities)
        uniform = _draw(tf.random.stateless_uniform, [shape[0]], self.spec.image_shape, noise, _BINARIZE)
        return likelihoods.binarize(intensities, uniform)

    def terms(
        self,
        items: Any,
        labels: Any,
        noise: Noise,
        *,
        samples: int = 1,
        training: bool = False,
        fit_variance: Callable[[Any], Any] | None = None,
        path: objective.WeightedPath | None = None,
    ) -> Terms:
        """Draws `samples` latents of every item and returns the terms of the bounds.

        Args:
            items: `[N, H, W, C] uint8` of images, else `[N, *data_shape] float32`.
            labels: `[N] int32`; ignored by an unconditional VAE.
            noise: Noise of binarization and latents.
            samples: K.
            training: Passed to the networks.
            fit_variance: Given the batch's optimal variance of a Gaussian, or squared scale of Student's t, returns the
                one to use; None uses the model's own.
            path: What the gradient of the latents goes through, without that of the posterior's density; None for all.
        """
        x = self.observe(items, noise)
        z_mean, z_log_var = self.encode(x, labels, training=training)
        return self.terms_of(
            x, labels, z_mean, z_log_var, noise, samples, training=training, fit_variance=fit_variance, path=path
        )

    def terms_of(
        self,
        x: Any,
        labels: Any,
        z_mean: Any,
        z_log_var: Any,
        noise: Noise,
        samples: int,
        *,
        training: bool = False,
        fit_variance: Callable[[Any], Any] | None = None,
        path: objective.WeightedPath | None = None,
    ) -> Terms:
        """Returns the terms for given posteriors, see `terms`."""
        tf = import_tensorflow()
        count = tf.shape(z_mean)[0]
        eps = _draw(tf.random.stateless_normal, [count], (self.spec.latent_dim,), noise, _LATENT, samples=samples)
        z = reparameterize(z_mean, z_log_var, eps)
        log_posterior = objective.log_normal(eps, z_log_var)
        if path is not None:
            z = path.through(z)
            log_posterior = objective.log_normal_of(z, z_mean, z_log_var)
        flat_labels = tf.tile(labels, [samples])
        outputs = self.decode(tf.reshape(z, (-1, self.spec.latent_dim)), flat_labels, training=training)
        shape = (samples, -1, *self.spec.data_shape)
        outputs = tf.nest.map_structure(lambda output: tf.reshape(output, shape), outputs)
        return Terms(
            log_likelihood=self._log_likelihood(x, outputs, fit_variance),
            z_log_var=z_log_var,
            log_prior=self.log_prior(z),
            log_posterior=log_posterior,
            kl=objective.kl_to_standard_normal(z_mean, z_log_var),
            outputs=outputs,
        )

    def squared_residuals(self, items: Any, labels: Any, noise: Noise) -> Any:
        """Returns the squared difference of every item to its decoded latent, one drawn of each.

        Of an image the mean over its pixels, `[N]`; of other data value by value, `[N, *data_shape]`.

        Args:
            items: `[N, H, W, C] uint8` of images, else `[N, *data_shape] float32`.
            labels: `[N] int32`; not looked at by an unconditional VAE.
            noise: Of the latents.
        """
        tf = import_tensorflow()
        x = self.observe(items, noise)
        z_mean, z_log_var = self.encode(x, labels)
        eps = _draw(tf.random.stateless_normal, [tf.shape(z_mean)[0]], (self.spec.latent_dim,), noise, _LATENT)
        square = tf.square(x - self.decode(reparameterize(z_mean, z_log_var, eps), labels))
        return tf.reduce_mean(square, axis=list(self.axes)) if self.spec.data is DataKind.IMAGE else square

    def log_prior(self, z: Any) -> Any:
        """Returns log p(z) of `[..., D]`."""
        if self.pseudo_inputs is None:
            return priors.log_density(self.prior, self.spec, z)
        tf = import_tensorflow()
        flat = tf.reshape(z, (-1, self.spec.latent_dim))
        return tf.reshape(priors.mixture_log_density(flat, *self._components()), tf.shape(z)[:-1])

    def is_kl_analytic(self) -> bool:
        """Whether KL(q(z|x) || p(z)) is known without sampling."""
        return self.spec.prior is PriorKind.STANDARD

    def _ended(self, outputs: Any) -> Any:
        return end_in_float32(outputs) if self._bfloat16 else outputs

    def _components(self) -> tuple[Any, Any]:
        tf = import_tensorflow()
        means, log_vars = self.encode(tf.sigmoid(self.pseudo_inputs), None)
        return means, 0.5 * log_vars

    def _log_likelihood(self, x: Any, outputs: Any, fit_variance: Callable[[Any], Any] | None) -> Any:
        likelihood, axes = self.spec.likelihood, self.axes
        if likelihood is Likelihood.BERNOULLI:
            return likelihoods.bernoulli_log_likelihood(x, outputs, axes)
        if likelihood is Likelihood.DISCRETIZED_LOGISTIC:
            return likelihoods.discretized_logistic_log_likelihood(x, *outputs)
        variance = self.variance if fit_variance is None else fit_variance(self._optimal_variance(x, outputs))
        if likelihood is Likelihood.STUDENT_T:
            return likelihoods.student_t_log_likelihood(x, outputs, variance, self.degrees_of_freedom, axes)
        if likelihood is Likelihood.MIXED:
            return likelihoods.mixed_log_likelihood(x, outputs, self.spec.channels, variance, axes)
        return likelihoods.gaussian_log_likelihood(x, outputs, variance, axes)

    def _optimal_variance(self, x: Any, outputs: Any) -> Any:
        if self.spec.likelihood is Likelihood.STUDENT_T:
            return likelihoods.optimal_square_scale(x, outputs, self.degrees_of_freedom)
        return likelihoods.optimal_variance(x, outputs, by_channel=self.spec.data is not DataKind.IMAGE)


def reparameterize(z_mean: Any, z_log_var: Any, eps: Any) -> Any:
    """Returns z = mean + sigma * eps (Kingma and Welling 2014, section 2.4)."""
    return z_mean + import_tensorflow().exp(0.5 * z_log_var) * eps


def _draw(
    distribution: Any, count: list[Any], shape: tuple[int, ...], noise: Noise, purpose: int, samples: int | None = None
) -> Any:
    """Draws noise for the whole batch and returns the part for the given images, so that all workers draw the same."""
    tf = import_tensorflow()
    whole = count if noise.whole is None else [noise.whole]
    leading: list[Any] = [] if samples is None else [samples]
    seed = tf.stack([noise.seed[0] * 2 + purpose, noise.seed[1]])
    values = distribution(tf.stack([*leading, *whole, *shape]), seed)
    if noise.whole is None:
        return values
    return tf.gather(values, noise.first + tf.range(count[0]), axis=len(leading))
