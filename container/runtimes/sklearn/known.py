"""The names that a model's file may hold without being code: classes one by one, never packages.

A class stands here if making it, or setting its state, runs nothing but its own few lines, and if
asking it opens no file. Whatever else a file names is code of its owner's. What compiled code reads
without looking (trees, support vectors) is looked at after the load (sound.py).
"""

from __future__ import annotations

from collections.abc import Iterable

_ESTIMATORS = """
sklearn.calibration CalibratedClassifierCV
sklearn.cluster._affinity_propagation AffinityPropagation
sklearn.cluster._agglomerative AgglomerativeClustering FeatureAgglomeration
sklearn.cluster._birch Birch
sklearn.cluster._bisect_k_means BisectingKMeans
sklearn.cluster._dbscan DBSCAN
sklearn.cluster._kmeans KMeans MiniBatchKMeans
sklearn.cluster._mean_shift MeanShift
sklearn.compose._column_transformer ColumnTransformer make_column_selector
sklearn.compose._target TransformedTargetRegressor
sklearn.covariance._elliptic_envelope EllipticEnvelope
sklearn.covariance._empirical_covariance EmpiricalCovariance
sklearn.covariance._graph_lasso GraphicalLasso GraphicalLassoCV
sklearn.covariance._robust_covariance MinCovDet
sklearn.covariance._shrunk_covariance LedoitWolf OAS ShrunkCovariance
sklearn.cross_decomposition._pls CCA PLSCanonical PLSRegression PLSSVD
sklearn.decomposition._dict_learning DictionaryLearning MiniBatchDictionaryLearning SparseCoder
sklearn.decomposition._factor_analysis FactorAnalysis
sklearn.decomposition._fastica FastICA
sklearn.decomposition._incremental_pca IncrementalPCA
sklearn.decomposition._kernel_pca KernelPCA
sklearn.decomposition._lda LatentDirichletAllocation
sklearn.decomposition._nmf MiniBatchNMF NMF
sklearn.decomposition._pca PCA
sklearn.decomposition._sparse_pca MiniBatchSparsePCA SparsePCA
sklearn.decomposition._truncated_svd TruncatedSVD
sklearn.discriminant_analysis LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis
sklearn.dummy DummyClassifier DummyRegressor
sklearn.ensemble._bagging BaggingClassifier BaggingRegressor
sklearn.ensemble._forest ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier
sklearn.ensemble._forest RandomForestRegressor RandomTreesEmbedding
sklearn.ensemble._gb GradientBoostingClassifier GradientBoostingRegressor
sklearn.ensemble._hist_gradient_boosting.gradient_boosting HistGradientBoostingClassifier
sklearn.ensemble._hist_gradient_boosting.gradient_boosting HistGradientBoostingRegressor
sklearn.ensemble._iforest IsolationForest
sklearn.ensemble._stacking StackingClassifier StackingRegressor
sklearn.ensemble._voting VotingClassifier VotingRegressor
sklearn.ensemble._weight_boosting AdaBoostClassifier AdaBoostRegressor
sklearn.feature_extraction._dict_vectorizer DictVectorizer
sklearn.feature_extraction._hash FeatureHasher
sklearn.feature_extraction.text CountVectorizer HashingVectorizer TfidfTransformer TfidfVectorizer
sklearn.feature_selection._from_model SelectFromModel
sklearn.feature_selection._rfe RFE RFECV
sklearn.feature_selection._sequential SequentialFeatureSelector
sklearn.feature_selection._univariate_selection GenericUnivariateSelect SelectFdr SelectFpr
sklearn.feature_selection._univariate_selection SelectFwe SelectKBest SelectPercentile
sklearn.feature_selection._variance_threshold VarianceThreshold
sklearn.frozen._frozen FrozenEstimator
sklearn.gaussian_process._gpc GaussianProcessClassifier
sklearn.gaussian_process._gpr GaussianProcessRegressor
sklearn.impute._base MissingIndicator SimpleImputer
sklearn.impute._iterative IterativeImputer
sklearn.impute._knn KNNImputer
sklearn.isotonic IsotonicRegression
sklearn.kernel_approximation AdditiveChi2Sampler Nystroem PolynomialCountSketch RBFSampler
sklearn.kernel_approximation SkewedChi2Sampler
sklearn.kernel_ridge KernelRidge
sklearn.linear_model._base LinearRegression
sklearn.linear_model._bayes ARDRegression BayesianRidge
sklearn.linear_model._coordinate_descent ElasticNet ElasticNetCV Lasso LassoCV MultiTaskElasticNet
sklearn.linear_model._coordinate_descent MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV
sklearn.linear_model._glm.glm GammaRegressor PoissonRegressor TweedieRegressor
sklearn.linear_model._huber HuberRegressor
sklearn.linear_model._least_angle Lars LarsCV LassoLars LassoLarsCV LassoLarsIC
sklearn.linear_model._logistic LogisticRegression LogisticRegressionCV
sklearn.linear_model._omp OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV
sklearn.linear_model._passive_aggressive PassiveAggressiveClassifier PassiveAggressiveRegressor
sklearn.linear_model._perceptron Perceptron
sklearn.linear_model._quantile QuantileRegressor
sklearn.linear_model._ransac RANSACRegressor
sklearn.linear_model._ridge Ridge RidgeCV RidgeClassifier RidgeClassifierCV
sklearn.linear_model._stochastic_gradient SGDClassifier SGDOneClassSVM SGDRegressor
sklearn.linear_model._theil_sen TheilSenRegressor
sklearn.manifold._isomap Isomap
sklearn.manifold._locally_linear LocallyLinearEmbedding
sklearn.mixture._bayesian_mixture BayesianGaussianMixture
sklearn.mixture._gaussian_mixture GaussianMixture
sklearn.model_selection._classification_threshold FixedThresholdClassifier
sklearn.model_selection._classification_threshold TunedThresholdClassifierCV
sklearn.model_selection._search GridSearchCV RandomizedSearchCV
sklearn.model_selection._search_successive_halving HalvingGridSearchCV HalvingRandomSearchCV
sklearn.model_selection._split KFold StratifiedKFold GroupKFold TimeSeriesSplit ShuffleSplit
sklearn.model_selection._split GroupShuffleSplit LeaveOneGroupOut LeaveOneOut LeavePGroupsOut
sklearn.model_selection._split LeavePOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold
sklearn.model_selection._split StratifiedGroupKFold StratifiedShuffleSplit
sklearn.multiclass OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier
sklearn.multioutput ClassifierChain MultiOutputClassifier MultiOutputRegressor RegressorChain
sklearn.naive_bayes BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB
sklearn.neighbors._classification KNeighborsClassifier RadiusNeighborsClassifier
sklearn.neighbors._graph KNeighborsTransformer RadiusNeighborsTransformer
sklearn.neighbors._kde KernelDensity
sklearn.neighbors._lof LocalOutlierFactor
sklearn.neighbors._nca NeighborhoodComponentsAnalysis
sklearn.neighbors._nearest_centroid NearestCentroid
sklearn.neighbors._regression KNeighborsRegressor RadiusNeighborsRegressor
sklearn.neighbors._unsupervised NearestNeighbors
sklearn.neural_network._multilayer_perceptron MLPClassifier MLPRegressor
sklearn.neural_network._rbm BernoulliRBM
sklearn.pipeline FeatureUnion Pipeline
sklearn.preprocessing._data Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer
sklearn.preprocessing._data PolynomialFeatures PowerTransformer QuantileTransformer RobustScaler
sklearn.preprocessing._data StandardScaler
sklearn.preprocessing._discretization KBinsDiscretizer
sklearn.preprocessing._encoders OneHotEncoder OrdinalEncoder
sklearn.preprocessing._function_transformer FunctionTransformer
sklearn.preprocessing._label LabelBinarizer LabelEncoder MultiLabelBinarizer
sklearn.preprocessing._polynomial PolynomialFeatures SplineTransformer
sklearn.preprocessing._target_encoder TargetEncoder
sklearn.random_projection GaussianRandomProjection SparseRandomProjection
sklearn.semi_supervised._label_propagation LabelPropagation LabelSpreading
sklearn.semi_supervised._self_training SelfTrainingClassifier
sklearn.svm._classes LinearSVC LinearSVR NuSVC NuSVR OneClassSVM SVC SVR
sklearn.tree._classes DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier
sklearn.tree._classes ExtraTreeRegressor
"""
# What estimators are made of
_PARTS = """
sklearn._loss._loss CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss
sklearn._loss._loss CyHalfMultinomialLoss CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss
sklearn._loss._loss CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss
sklearn._loss._loss __pyx_unpickle_CyAbsoluteError __pyx_unpickle_CyExponentialLoss
sklearn._loss._loss __pyx_unpickle_CyHalfBinomialLoss __pyx_unpickle_CyHalfGammaLoss
sklearn._loss._loss __pyx_unpickle_CyHalfMultinomialLoss __pyx_unpickle_CyHalfPoissonLoss
sklearn._loss._loss __pyx_unpickle_CyHalfSquaredError __pyx_unpickle_CyHalfTweedieLoss
sklearn._loss._loss __pyx_unpickle_CyHalfTweedieLossIdentity __pyx_unpickle_CyHuberLoss
sklearn._loss._loss __pyx_unpickle_CyPinballLoss
sklearn._loss.link HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit
sklearn._loss.loss AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss
sklearn._loss.loss HalfMultinomialLoss HalfPoissonLoss HalfSquaredError HalfTweedieLoss
sklearn._loss.loss HalfTweedieLossIdentity HuberLoss PinballLoss
sklearn.calibration _CalibratedClassifier _SigmoidCalibration _TemperatureScaling
sklearn.cluster._birch _CFNode _CFSubcluster
sklearn.cluster._bisect_k_means _BisectingTree
sklearn.compose._column_transformer _RemainderColsList
sklearn.cluster._kmeans _kmeans_single_lloyd _kmeans_single_elkan
sklearn.ensemble._gb_losses BinomialDeviance ExponentialLoss HuberLossFunction
sklearn.ensemble._gb_losses LeastAbsoluteError LeastSquaresError MultinomialDeviance
sklearn.ensemble._gb_losses QuantileLossFunction
sklearn.ensemble._hist_gradient_boosting.binning _BinMapper
sklearn.ensemble._hist_gradient_boosting.predictor TreePredictor
sklearn.feature_selection._univariate_selection f_classif f_regression chi2 f_oneway r_regression
sklearn.feature_selection._mutual_info mutual_info_classif mutual_info_regression
sklearn.gaussian_process._gpc _BinaryGaussianProcessClassifierLaplace
sklearn.gaussian_process.kernels CompoundKernel ConstantKernel DotProduct ExpSineSquared
sklearn.gaussian_process.kernels Exponentiation Hyperparameter Matern PairwiseKernel Product RBF
sklearn.gaussian_process.kernels RationalQuadratic Sum WhiteKernel
sklearn.impute._iterative _ImputerTriplet
sklearn.linear_model._sgd_fast EpsilonInsensitive Hinge Huber Log ModifiedHuber SquaredHinge
sklearn.linear_model._sgd_fast SquaredEpsilonInsensitive SquaredLoss
sklearn.metrics._dist_metrics EuclideanDistance EuclideanDistance64 ManhattanDistance
sklearn.metrics._dist_metrics ManhattanDistance64 ChebyshevDistance ChebyshevDistance64
sklearn.metrics._dist_metrics MinkowskiDistance MinkowskiDistance64 HaversineDistance
sklearn.metrics._dist_metrics HaversineDistance64 newObj
sklearn.metrics._classification accuracy_score balanced_accuracy_score brier_score_loss
sklearn.metrics._classification cohen_kappa_score d2_brier_score d2_log_loss_score f1_score
sklearn.metrics._classification fbeta_score hamming_loss hinge_loss jaccard_score log_loss
sklearn.metrics._classification matthews_corrcoef precision_score recall_score zero_one_loss
sklearn.metrics._ranking average_precision_score coverage_error dcg_score
sklearn.metrics._ranking label_ranking_average_precision_score label_ranking_loss ndcg_score
sklearn.metrics._ranking roc_auc_score top_k_accuracy_score
sklearn.metrics._regression d2_absolute_error_score d2_pinball_score d2_tweedie_score
sklearn.metrics._regression explained_variance_score max_error mean_absolute_error
sklearn.metrics._regression mean_absolute_percentage_error mean_gamma_deviance mean_pinball_loss
sklearn.metrics._regression mean_poisson_deviance mean_squared_error mean_squared_log_error
sklearn.metrics._regression mean_tweedie_deviance median_absolute_error r2_score
sklearn.metrics._regression root_mean_squared_error root_mean_squared_log_error
sklearn.metrics._scorer negative_likelihood_ratio positive_likelihood_ratio
sklearn.metrics.cluster._supervised adjusted_mutual_info_score adjusted_rand_score
sklearn.metrics.cluster._supervised completeness_score fowlkes_mallows_score homogeneity_score
sklearn.metrics.cluster._supervised mutual_info_score normalized_mutual_info_score rand_score
sklearn.metrics.cluster._supervised v_measure_score
sklearn.metrics._scorer _CurveScorer _PassthroughScorer _Scorer
sklearn.model_selection._classification_threshold _CurveScorer
sklearn.multiclass _ConstantPredictor
sklearn.neighbors._ball_tree BallTree BallTree64 newObj
sklearn.neighbors._kd_tree KDTree KDTree64 newObj
sklearn.neural_network._stochastic_optimizers AdamOptimizer SGDOptimizer
sklearn.preprocessing._label LabelBinarizer
sklearn.tree._tree Tree
sklearn.utils Bunch
sklearn.utils._bunch Bunch
sklearn.utils._metadata_requests MetadataRequest MethodMetadataRequest
sklearn.utils.validation check_array
scipy.interpolate._bsplines BSpline
scipy.sparse._csc csc_array csc_matrix
scipy.sparse._csr csr_array csr_matrix
scipy._lib.array_api_compat.numpy._aliases asarray
"""
_OTHERS = """
_codecs encode
builtins bool bytearray bytes complex dict float frozenset int list object range set slice str tuple
collections OrderedDict defaultdict
numpy dtype ndarray matrix
numpy bool bool_ float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc
numpy longlong ulonglong str_ bytes_ object_ mean median nan_to_num
numpy generic number integer signedinteger unsignedinteger inexact floating complexfloating
numpy flexible character datetime64 timedelta64
numpy.ma MaskedArray
numpy.ma.core MaskedArray MaskedConstant _mareconstruct
numpy._core.multiarray _reconstruct scalar
numpy._core.numeric _frombuffer
numpy.random RandomState Generator MT19937 PCG64 SFC64 Philox
numpy.random._generator Generator
numpy.random.mtrand RandomState
numpy.random._mt19937 MT19937
numpy.random._pcg64 PCG64 PCG64DXSM
numpy.random._pickle __bit_generator_ctor __generator_ctor __randomstate_ctor
numpy.random.bit_generator SeedSequence __pyx_unpickle_SeedSequence
"""
# Functions of one array, as FunctionTransformer has them
UFUNCS = frozenset(
    [
        "abs",
        "absolute",
        "add",
        "arcsinh",
        "arctan",
        "cbrt",
        "ceil",
        "clip",
        "cos",
        "deg2rad",
        "divide",
        "exp",
        "exp2",
        "expm1",
        "fabs",
        "floor",
        "isfinite",
        "isinf",
        "isnan",
        "log",
        "log10",
        "log1p",
        "log2",
        "maximum",
        "minimum",
        "multiply",
        "negative",
        "power",
        "rad2deg",
        "reciprocal",
        "rint",
        "sign",
        "sin",
        "sqrt",
        "square",
        "subtract",
        "tan",
        "tanh",
        "trunc",
    ]
)
_UFUNC_MODULES = ("numpy", "numpy._core._multiarray_umath", "numpy._core.umath")


def _pairs(text: str) -> set[tuple[str, str]]:
    lines = (line.split() for line in text.splitlines() if line)
    return {(module, name) for module, *names in lines for name in names}


MODELS = frozenset(_pairs(_ESTIMATORS))
"""Estimators, by module and name."""
NAMES = frozenset(MODELS | _pairs(_PARTS) | _pairs(_OTHERS))
"""All names that are no code, by module and name."""


PARTIAL, CHECK = ("functools", "partial"), ("sklearn.utils.validation", "check_array")
"""HistGradientBoosting has a partial of that function for columns that are no categories."""


# The second is what scikit-learn up to 1.5 calls a module of its own in pickles of boosted trees
_MOVED = {
    "__builtin__": "builtins",
    "_loss": "sklearn._loss._loss",
    "scipy.sparse.csc": "scipy.sparse._csc",
    "scipy.sparse.csr": "scipy.sparse._csr",
}


def today(module: str) -> str:
    """The module's name in NumPy 2, also for one of NumPy 1; in Python 3 for one of Python 2."""
    if module in _MOVED:
        return _MOVED[module]
    old = "numpy.core"
    return "numpy._core" + module[len(old) :] if (module + ".").startswith(old + ".") else module


def is_ufunc(module: str, name: str) -> bool:
    """Whether that is one of NumPy's functions of arrays, to be had as numpy's own."""
    return today(module) in _UFUNC_MODULES and name in UFUNCS


def is_known(module: str, name: str) -> bool:
    """Whether a file may name that without being code."""
    return (today(module), name) in NAMES or is_ufunc(module, name)


def unknown(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Which of a file's names may be code."""
    found = set(names)
    allowed = {PARTIAL} if CHECK in found else set()
    return sorted(one for one in found - allowed if not is_known(*one))


def trusted() -> list[str]:
    """The names as skops takes them; what a partial is of is looked at after the load."""
    return sorted(f"{module}.{name}" for module, name in {*NAMES, PARTIAL})
